import { DONE, fail, type Outcome, ok } from "../errno.ts";
import type { FaultInjector } from "../fault-injector.ts";

/** Ids are 31 bits wide. */
const LAST_ID = 0x7fff_ffff;

/** What an id can stand for. */
export type ObjectKind =
  | "access"
  | "device"
  | "fault"
  | "hw-queue"
  | "hwpt-nested"
  | "hwpt-paging"
  | "ioas"
  | "selftest"
  | "vdevice"
  | "veventq"
  | "viommu";

/**
 * What a client knows by an id. It is used by those that depend on it, and by
 * the client itself, which counts as one; only what nobody else uses can go.
 */
export abstract class IommufdObject {
  abstract readonly kind: ObjectKind;
  /** 0 until the table has it. */
  id = 0;
  /** The client and whoever depends on the object. */
  users = 1;

  /** Lets go of everything. The table has forgotten the object by then. */
  abstract destroy(): void;

  /** Adds a user. */
  get(): this {
    this.users += 1;
    return this;
  }

  /** Takes a user off. @throws Error when only the client is left: a bug of ours */
  put(): void {
    if (this.users <= 1) throw new Error(`${this.kind} ${this.id} has no user to take off`);
    this.users -= 1;
  }
}

/** The id of a vDEVICE whose device has gone: it stands for nothing and is not given out again. */
const TOMBSTONE = Symbol("tombstone");

/** The objects of one open file, by id: one space for all kinds, the lowest free id first. */
export class ObjectTable {
  readonly #faults: FaultInjector;
  readonly #slots: (IommufdObject | typeof TOMBSTONE | undefined)[] = [];
  /** No id below this is free. */
  #lowest = 1;
  #count = 0;

  constructor(faults: FaultInjector) {
    this.#faults = faults;
  }

  /** Objects there are. */
  get count(): number {
    return this.#count;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Gives an object its id. @returns ENOMEM, ENOSPC */
  add<O extends IommufdObject>(object: O): Outcome<O> {
    if (this.#faults.shouldFail("id")) return fail("ENOMEM");
    let id = this.#lowest;
    while (this.#slots[id] !== undefined) id++;
    if (id > LAST_ID) return fail("ENOSPC");
    this.#slots[id] = object;
    this.#lowest = id + 1;
    this.#count += 1;
    object.id = id;
    return ok(object);
  }

  /** The object of one of `kinds` with an id. */
  find(id: number, ...kinds: readonly ObjectKind[]): IommufdObject | undefined {
    const slot = this.#slots[id];
    if (slot === undefined || slot === TOMBSTONE) return undefined;
    return kinds.length === 0 || kinds.includes(slot.kind) ? slot : undefined;
  }

  /** The object with an id, if it is of a class. */
  get<O extends IommufdObject>(
    id: number,
    type: abstract new (...args: never[]) => O,
  ): O | undefined {
    const slot = this.#slots[id];
    return slot instanceof type ? slot : undefined;
  }

  *[Symbol.iterator](): Generator<IommufdObject, void, undefined> {
    for (const slot of this.#slots) {
      if (slot !== undefined && slot !== TOMBSTONE) yield slot;
    }
  }

  /** @returns ENOENT without such an object, EBUSY while it has other users than the client */
  destroy(id: number): Outcome<undefined> {
    const object = this.find(id);
    if (object === undefined) return fail("ENOENT");
    if (object.users > 1) return fail("EBUSY");
    this.remove(object);
    return DONE;
  }

  /** Forgets an object and destroys it. @throws Error when it has other users: a bug of ours */
  remove(object: IommufdObject): void {
    if (object.users > 1) throw new Error(`${object.kind} ${object.id} goes while it is in use`);
    this.#forget(object, undefined);
    object.destroy();
  }

  /** Like `remove`; the id stays taken as long as the table. */
  bury(object: IommufdObject): void {
    if (object.users > 1) throw new Error(`${object.kind} ${object.id} goes while it is in use`);
    this.#forget(object, TOMBSTONE);
    object.destroy();
  }

  #forget(object: IommufdObject, left: typeof TOMBSTONE | undefined): void {
    if (this.#slots[object.id] !== object) throw new Error(`no object ${object.id} in the table`);
    this.#slots[object.id] = left;
    this.#count -= 1;
    if (left === undefined && object.id < this.#lowest) this.#lowest = object.id;
  }

  /** Destroys everything, users before what they use. @throws Error when that is impossible: a bug of ours */
  destroyAll(): void {
    while (this.#count > 0) {
      const before = this.#count;
      for (const object of this) if (object.users === 1) this.remove(object);
      if (this.#count === before) throw new Error("objects are left that use each other");
    }
  }
}
