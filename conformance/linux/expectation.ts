import type { Answer } from "./linux-guest.ts";

/** Text between slashes is an expression that the answer's text matches. */
const EXPRESSION = /^\/(.*)\/$/s;

/** Where `found` is not as `wanted`; members that `wanted` does not have may be anything. `undefined` when it is. */
export const mismatch = (wanted: unknown, found: unknown, path = ""): string | undefined => {
  if (typeof wanted === "string" && EXPRESSION.test(wanted)) {
    const expression = new RegExp(EXPRESSION.exec(wanted)![1]!);
    if (typeof found === "string" && expression.test(found)) return undefined;
    return `${path} is ${JSON.stringify(found)}, which ${wanted} does not match`;
  }
  if (typeof wanted !== "object" || wanted === null) {
    if (wanted === found) return undefined;
    return `${path} is ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`;
  }
  if (typeof found !== "object" || found === null) {
    return `${path} is ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`;
  }
  for (const [name, value] of Object.entries(wanted)) {
    const problem = mismatch(value, (found as Answer)[name], `${path}.${name}`);
    if (problem !== undefined) return problem;
  }
  return undefined;
};

/** What is wrong with an answer of which nothing is said: it must have gone well. */
export const failure = (answer: Answer): string | undefined => {
  const { errno, error, fault, exit } = answer;
  const bad =
    (errno !== undefined && errno !== null) ||
    error !== undefined ||
    fault !== undefined ||
    (exit !== undefined && exit !== 0);
  return bad ? "it went wrong" : undefined;
};
