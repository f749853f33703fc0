// The part of the WebAssembly interface we use. TypeScript declares it only in its DOM library, which we do not want.

/** Linear memory, in pages of 64 KiB; with `maximum` = `initial` its buffer never detaches. */
interface WebAssemblyMemory {
  readonly buffer: ArrayBuffer
}

interface WebAssemblyApi {
  readonly Memory: new (descriptor: { initial: number; maximum: number }) => WebAssemblyMemory
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (
    module: object,
    imports: { env: { memory: WebAssemblyMemory } },
  ) => { readonly exports: unknown }
  validate(bytes: Uint8Array): boolean
}

export const webAssembly = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly

/** Size of a page of WebAssembly memory. */
export const WASM_PAGE_BYTES = 65536

/** Addresses have 32 bits. */
export const WASM_MEMORY_BYTES_MAX = 2 ** 32
