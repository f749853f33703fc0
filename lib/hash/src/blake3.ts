import { createRequire } from 'node:module'
import { createBLAKE3 } from 'hash-wasm'

/** Length of every digest in this package. */
export const HASH_BYTES = 32

type Blake3 = (data: Uint8Array) => Uint8Array

/** Which implementation answers: the native addon (7 GB/s) or WebAssembly (0.7 GB/s), where no prebuilt addon exists. */
export const blake3Backend: 'native' | 'wasm' = nativeBlake3() ? 'native' : 'wasm'

/** BLAKE3, 32 bytes. https://github.com/BLAKE3-team/BLAKE3-specs */
export const blake3: Blake3 = nativeBlake3() ?? (await wasmBlake3())

function nativeBlake3(): Blake3 | undefined {
  try {
    const addon = createRequire(import.meta.url)('@napi-rs/blake-hash') as typeof import('@napi-rs/blake-hash')
    addon.blake3(Buffer.alloc(1)) // some platforms load the addon and fail at the first call
    return (data) => addon.blake3(viewAsBuffer(data))
  } catch {
    return undefined
  }
}

async function wasmBlake3(): Promise<Blake3> {
  const hasher = await createBLAKE3()
  return (data) => hasher.init().update(data).digest('binary')
}

/** The addon takes only Buffers; this one shares the memory. */
function viewAsBuffer(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}
