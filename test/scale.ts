/** Whether this is a long campaign, `npm run soak`. */
export const SOAK: boolean = process.env["SOFTIOMMU_SOAK"] === "1";

/**
 * A number of runs or steps: small in `npm test`, full in `npm run soak`.
 *
 * @param small what keeps `npm test` in its budget
 * @param soak what the campaign is for
 */
export const scale = (small: number, soak: number): number => (SOAK ? soak : small);
