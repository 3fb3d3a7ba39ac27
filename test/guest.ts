/** Guests as `softiommu boot` finds them. */
export { guestVersions, readGuest } from "../src/cli/boot/guest-files.ts";
