import { requireHooks, requireModule } from "./hooks.ts";
import type { V86Emulator, V86Module } from "./v86.ts";
import {
  startProgram,
  type WasmExports,
  type WasmImports,
  type WasmMemory,
  type WasmModule,
} from "./web-assembly.ts";

/** v86's program, `v86/build/v86.wasm`: its bytes, or compiled once for several PCs. */
export type V86Program = Uint8Array | WasmModule;

/** What an emulator is made with. */
export interface EmulatorOptions {
  readonly v86: V86Module;
  readonly program: V86Program;
  readonly memoryBytes: number;
  readonly disk: Uint8Array | undefined;
  /** Called with what v86 has to say, which is why it gives up. */
  readonly onMessage: (text: string) => void;
}

/** Nobody looks at the display; this is the least that v86 takes. */
const DISPLAY_BYTES = 0x4_0000;

/** v86's program writes its last words to the console. They go to `heard` instead. */
const startQuietly = async (
  program: V86Program,
  imports: WasmImports,
  heard: (text: string) => void,
): Promise<WasmExports> => {
  let memory: WasmMemory | undefined;
  const say = (at: number, length: number): void => {
    if (memory !== undefined)
      heard(new TextDecoder().decode(new Uint8Array(memory.buffer, at, length)));
  };
  const env = { ...(imports["env"] as object), console_log_from_wasm: say };
  const exports = await startProgram(program, { ...imports, env });
  memory = exports["memory"] as WasmMemory;
  return exports;
};

/**
 * Starts v86 with processor, memory and chipset, and nothing to run.
 *
 * @throws V86Error when it is not the version that this room is written for
 */
export const loadEmulator = ({
  v86,
  program,
  memoryBytes,
  disk,
  onMessage,
}: EmulatorOptions): Promise<V86Emulator> => {
  requireModule(v86);
  return new Promise((resolve, reject) => {
    const emulator = new v86.V86({
      wasm_fn: (imports) =>
        startQuietly(program, imports, onMessage).catch((error: unknown) => {
          reject(error);
          // v86 has no answer to a program that does not start: it waits.
          return new Promise<never>(() => {});
        }),
      memory_size: memoryBytes,
      vga_memory_size: DISPLAY_BYTES,
      acpi: true,
      autostart: false,
      uart1: true,
      ...(disk === undefined ? {} : { hda: { buffer: new Uint8Array(disk).buffer } }),
      net_device: { type: "none" },
      disable_keyboard: true,
      disable_mouse: true,
      disable_speaker: true,
    });
    if (typeof emulator.add_listener !== "function") requireHooks(emulator);
    emulator.add_listener("emulator-loaded", () => {
      try {
        requireHooks(emulator);
        resolve(emulator);
      } catch (error) {
        reject(error);
      }
    });
  });
};
