/** A compiled program. */
export interface WasmModule {
  readonly [Symbol.toStringTag]: string;
}

/** What a program takes from, and gives to, JavaScript. */
export type WasmImports = Readonly<Record<string, unknown>>;
export type WasmExports = Readonly<Record<string, unknown>>;

/** A program's memory. The buffer is another one after it has grown. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** As much of WebAssembly's interface as is used here: the language's own library does not declare it. */
interface WasmNamespace {
  readonly RuntimeError: new () => Error;
  compile(bytes: Uint8Array): Promise<WasmModule>;
  instantiate(
    program: WasmModule,
    imports: WasmImports,
  ): Promise<{ readonly exports: WasmExports }>;
}

const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WasmNamespace };

/** Whether `error` is what a program gives up with. */
export const isTrap = (error: unknown): error is Error => error instanceof WebAssembly.RuntimeError;

/** Starts a program, given as bytes or compiled, and returns what it exports. */
export const startProgram = async (
  program: Uint8Array | WasmModule,
  imports: WasmImports,
): Promise<WasmExports> => {
  const compiled = program instanceof Uint8Array ? await WebAssembly.compile(program) : program;
  return (await WebAssembly.instantiate(compiled, imports)).exports;
};
