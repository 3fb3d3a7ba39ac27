import { type FileSource, fileName, readUnpacked } from "./file-source.ts";
import { parseJson } from "./json-text.ts";
import { MAX_JSON_BYTES, MAX_MOMENTS } from "./limits.ts";

/** A moment's name is its folder's, so it cannot lead anywhere else: no `/`, and no dot in front. */
const MOMENT = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/**
 * The names of a capture's moments, in the order of time.
 *
 * @param path of `moments.json`
 * @throws CaptureError when it is bad
 */
export const readMoments = (files: FileSource, path: string): string[] => {
  const json = parseJson(fileName(files, path), readUnpacked(files, path, MAX_JSON_BYTES));
  const list = json.field("moments");
  const names = new Set<string>();
  for (const item of list.items(MAX_MOMENTS)) {
    const name = item.field("name");
    const text = name.text(MOMENT, "a moment's name: letters, digits, _, - and inner dots");
    if (names.has(text)) throw name.wrong("each moment once", `a second ${name.describe()}`);
    names.add(text);
  }
  if (names.size === 0) throw list.wrong("at least one moment", "none");
  return [...names];
};
