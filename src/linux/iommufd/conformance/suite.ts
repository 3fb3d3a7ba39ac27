import { accessRules } from "./access-suite.ts";
import { dispatchRules, objectRules, optionRules } from "./dispatch-suite.ts";
import { hwptRules } from "./hwpt-suite.ts";
import { ioasRules } from "./ioas-suite.ts";
import { mappingRules } from "./mapping-suite.ts";
import { viommuAndNestedRules } from "./nested-suite.ts";
import { queueRules } from "./queue-suite.ts";
import { vfioCompatRules } from "./vfio-compat-suite.ts";
import type { Check } from "./world.ts";

/** Every rule about iommufd that a client can see: the same in process and through real files. */
export const iommufdRules = (check: Check): void => {
  dispatchRules(check);
  objectRules(check);
  optionRules(check);
  mappingRules(check);
  ioasRules(check);
  hwptRules(check);
  viommuAndNestedRules(check);
  queueRules(check);
  accessRules(check);
  vfioCompatRules(check);
};
