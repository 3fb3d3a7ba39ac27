import { join } from "node:path";
import { loadBundled, ROOT } from "./bundled.ts";
import type { Mutant } from "./mutants.ts";
import type { UnitSubject } from "./unit-subject.ts";

/**
 * Builds the machine around a unit with one thing wrong.
 *
 * @throws Error when the text that the mutant changes is not there once
 */
export const buildMutant = async (mutant: Mutant): Promise<typeof UnitSubject> => {
  const file = join(ROOT, "src/hardware/vtd", mutant.file);
  let changed = false;
  const module = await loadBundled<{ readonly UnitSubject: typeof UnitSubject }>(
    "unit-subject.ts",
    {
      name: "mutant",
      transform: (code, id) => {
        if (id !== file) return undefined;
        if (code.split(mutant.from).length !== 2)
          throw new Error(`${mutant.file} does not have once: ${mutant.from}`);
        changed = true;
        return code.replace(mutant.from, () => mutant.to);
      },
    },
  );
  if (!changed) throw new Error(`${mutant.file} is no part of the unit`);
  return module.UnitSubject;
};
