/** `value` as people and JSON write it here: lowercase hexadecimal, `0x`, no padding. */
export const hex = (value: bigint | number): string =>
  `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}`;
