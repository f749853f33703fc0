// The part of the WebAssembly interface we use. TypeScript declares it only in its DOM library, which we do not want.

/** Linear memory, in pages of 64 KiB. Growing it detaches its buffer. */
export interface WebAssemblyMemory {
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}

interface WebAssemblyApi {
  readonly Memory: new (descriptor: { initial: number; maximum: number }) => WebAssemblyMemory
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (
    module: object,
    imports: { env: { memory: WebAssemblyMemory } },
  ) => { readonly exports: unknown }
}

export const webAssembly = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly

/** Size of a page of WebAssembly memory. */
export const WASM_PAGE_BYTES = 65536
