import { formatSuite, type SuiteShape } from "./format-suite.ts";
import { AMD_V1, VTD_SECOND_STAGE, X86_64 } from "./index.ts";

const NO_DIRTY = {
  rule: "PT-DIRTY-01",
  reason: "dirty is set from the start in this format, so it tells nothing",
};
const NARROW = { rule: "PT-MAP-02", reason: "the vectors need more input bits than the table has" };
const ONE_TABLE = "the table has one level, and nothing below it";

const SHAPES: readonly SuiteShape[] = [
  ...[4, 5].flatMap((levels): SuiteShape[] => [
    {
      title: `x86-64, ${levels} levels, sign-extended`,
      shape: { format: X86_64, levels, signExtend: true },
      skip: [NO_DIRTY],
    },
    {
      title: `x86-64, ${levels} levels, lower half`,
      shape: { format: X86_64, levels, inputLg2: 9 * levels + 11 },
      skip: [NO_DIRTY],
    },
    {
      title: `x86-64, ${levels} levels, zero-extended`,
      shape: { format: X86_64, levels },
      skip: [NO_DIRTY],
    },
  ]),
  ...[3, 4, 5].flatMap((levels): SuiteShape[] => [
    { title: `second stage, ${levels} levels`, shape: { format: VTD_SECOND_STAGE, levels } },
  ]),
  {
    title: "second stage, 4 levels, snooping",
    shape: { format: VTD_SECOND_STAGE, levels: 4, forceSnoop: true },
  },
  {
    title: "AMD v1, 1 level",
    shape: { format: AMD_V1, levels: 1 },
    skip: [
      NARROW,
      ...["PT-MAP-07", "PT-MAP-08", "PT-UNMAP-04"].map((rule) => ({
        rule,
        reason: ONE_TABLE,
      })),
    ],
  },
  { title: "AMD v1, 2 levels", shape: { format: AMD_V1, levels: 2 }, skip: [NARROW] },
  ...[3, 4, 5, 6].map(
    (levels): SuiteShape => ({
      title: `AMD v1, ${levels} levels`,
      shape: { format: AMD_V1, levels },
    }),
  ),
  {
    title: "AMD v1, 3 levels, 32 input bits",
    shape: { format: AMD_V1, levels: 3, inputLg2: 32 },
    skip: [{ rule: "PT-MAP-03", reason: "the vector needs more input bits than the table has" }],
  },
  {
    title: "AMD v1, growing from 3 levels",
    shape: { format: AMD_V1, levels: 3, growable: true },
  },
];

for (const shape of SHAPES) formatSuite(shape);
