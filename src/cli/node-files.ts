import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";
import { gunzipSync } from "node:zlib";
import { CaptureError } from "../capture/capture-error.ts";
import {
  type FileSink,
  type FileSource,
  fileName,
  type UnpackFailure,
} from "../capture/file-source.ts";

/** Files on disk. Reading opens them; `close` lets go of the last one. */
export interface NodeFiles extends FileSource {
  close(): void;
}

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : String(error);

/** What the file system's refusals mean, for those that users meet. */
const REFUSALS: Readonly<Record<string, string>> = {
  EACCES: "one that may not be read (EACCES)",
  EISDIR: "a folder (EISDIR)",
  ELOOP: "links that lead in a circle (ELOOP)",
  ENOENT: "nothing (ENOENT)",
  ENOTDIR: "a path through something that is no folder (ENOTDIR)",
};

/** Runs `action`, and says what the file system refused as a `CaptureError`. */
const onDisk = <T>(file: string, action: () => T): T => {
  try {
    return action();
  } catch (error) {
    if (error instanceof CaptureError) throw error;
    const code = codeOf(error);
    const expected = "a file or folder that can be read";
    throw new CaptureError({ file, expected, found: REFUSALS[code] ?? code });
  }
};

const isMissing = (error: unknown): boolean => ["ENOENT", "ENOTDIR"].includes(codeOf(error));

/** Bytes, packed and unpacked, up to which data is searched for the damaged byte: it is unpacked some 20 times for that. */
const MAX_SEARCHED: number = 4 * 2 ** 20;

/** What becomes of a piece from the start of packed data. */
const tryPiece = (piece: Uint8Array): "sound" | "damaged" | "too-large" => {
  try {
    gunzipSync(piece, { maxOutputLength: MAX_SEARCHED });
    return "sound";
  } catch (error) {
    const code = codeOf(error);
    if (code === "ERR_BUFFER_TOO_LARGE") return "too-large";
    // Only the end is missing: what is there is sound.
    return code === "Z_BUF_ERROR" ? "sound" : "damaged";
  }
};

/** The last byte of the shortest damaged piece; `undefined` when finding it would take long. */
const findDamage = (packed: Uint8Array): number | undefined => {
  if (packed.length > MAX_SEARCHED) return undefined;
  let sound = 0;
  let damaged = packed.length;
  while (damaged - sound > 1) {
    const middle = (sound + damaged) >>> 1;
    const outcome = tryPiece(packed.subarray(0, middle));
    if (outcome === "too-large") return undefined;
    if (outcome === "sound") sound = middle;
    else damaged = middle;
  }
  return damaged - 1;
};

/** As in `FileSource`. */
export const gunzip = (packed: Uint8Array, maxBytes: number): Uint8Array | UnpackFailure => {
  try {
    return gunzipSync(packed, { maxOutputLength: maxBytes });
  } catch (error) {
    const code = codeOf(error);
    if (code === "ERR_BUFFER_TOO_LARGE") return { failed: "too-large" };
    if (code === "Z_BUF_ERROR") return { failed: "corrupt", offset: packed.length };
    return { failed: "corrupt", offset: findDamage(packed) };
  }
};

/**
 * The files at `root` on disk: a folder, or a single file. A link inside the
 * folder is followed only to what is inside it too, and nothing but ordinary
 * files is opened.
 *
 * @throws CaptureError when there is nothing at `root`
 */
export const nodeFiles = (root: string): NodeFiles => {
  const top = onDisk(root, () => realpathSync(root));
  let open: { readonly path: string; readonly fd: number } | undefined;
  const close = (): void => {
    if (open !== undefined) closeSync(open.fd);
    open = undefined;
  };
  const locate = (path: string): string => {
    const real = realpathSync(join(top, path));
    if (real === top || real.startsWith(top.endsWith(sep) ? top : top + sep)) return real;
    throw new CaptureError({
      file: fileName(files, path),
      expected: "a file inside the folder",
      found: "a link that leads out of it",
    });
  };
  const openFile = (path: string): number => {
    if (open?.path === path) return open.fd;
    close();
    // Without blocking: what was a file a moment ago may be a pipe now.
    const fd = openSync(locate(path), constants.O_RDONLY | constants.O_NONBLOCK);
    open = { path, fd };
    if (!fstatSync(fd).isFile()) throw notOrdinary(fileName(files, path));
    return fd;
  };
  const files: NodeFiles = {
    name: root.replace(/(?<=.)\/+$/, ""),
    close,
    gunzip,
    size: (path) =>
      onDisk(fileName(files, path), () => {
        try {
          const stat = statSync(locate(path));
          if (stat.isDirectory()) return undefined;
          if (!stat.isFile()) throw notOrdinary(fileName(files, path));
          return stat.size;
        } catch (error) {
          if (isMissing(error)) return undefined;
          throw error;
        }
      }),
    readRange: (path, offset, length) =>
      onDisk(fileName(files, path), () => {
        const fd = openFile(path);
        const bytes = new Uint8Array(Math.max(0, Math.min(length, fstatSync(fd).size - offset)));
        let done = 0;
        while (done < bytes.length) {
          const count = readSync(fd, bytes, done, bytes.length - done, offset + done);
          if (count === 0) break;
          done += count;
        }
        return bytes.subarray(0, done);
      }),
  };
  return files;
};

const notOrdinary = (file: string): CaptureError =>
  new CaptureError({ file, expected: "an ordinary file", found: "a device, pipe or socket" });

const isFile = (path: string): boolean => {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
};

/** What the user named, split where a moment begins. */
export interface NamedFiles {
  readonly files: NodeFiles;
  /** The moment of `CAPTURE/MOMENT`. */
  readonly moment?: string;
}

/**
 * Opens what the user named: a capture, `CAPTURE/MOMENT`, an image or a core.
 *
 * @throws CaptureError when there is nothing
 */
export const openNamed = (path: string): NamedFiles => {
  const typed = basename(path);
  const whole = typed === "" || typed === "." || typed === ".." ? resolve(path) : path;
  const parent = dirname(whole);
  const inCapture = isFile(join(parent, "moments.json")) && !isFile(path);
  if (!inCapture || isFile(join(path, "moments.json"))) return { files: nodeFiles(path) };
  return { files: nodeFiles(parent), moment: basename(whole) };
};

/**
 * Writes files into the folder `root`, which is made where it is missing.
 *
 * @throws Error of the file system
 */
export const nodeSink = (root: string): FileSink => ({
  write(path, bytes) {
    const target = join(root, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, bytes);
  },
});
