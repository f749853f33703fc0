import { createRequire } from 'node:module'
import { ThresholdError, type ThresholdErrorCode } from './threshold-error.ts'

export type Blst = typeof import('@chainsafe/blst')
export type PublicKey = InstanceType<Blst['PublicKey']>
export type Signature = InstanceType<Blst['Signature']>

let loaded: Blst | undefined

/** Loaded at first use, so that who needs no signature runs everywhere. @throws ThresholdError NO_NATIVE_BUILD */
export function blst(): Blst {
  return (loaded ??= load())
}

function load(): Blst {
  try {
    return createRequire(import.meta.url)('@chainsafe/blst') as Blst
  } catch (cause) {
    throw new ThresholdError(
      'NO_NATIVE_BUILD',
      `@chainsafe/blst cannot be loaded on ${process.platform}-${process.arch}; it has builds for Linux (glibc and musl) ` +
        'and macOS on x64 and arm64, and for Windows on x64',
      { cause },
    )
  }
}

const codes: Readonly<Record<string, ThresholdErrorCode>> = {
  BLST_BAD_ENCODING: 'BAD_ENCODING',
  BLST_POINT_NOT_ON_CURVE: 'NOT_ON_CURVE',
  BLST_POINT_NOT_IN_GROUP: 'NOT_IN_SUBGROUP',
  BLST_PK_IS_INFINITY: 'INFINITE',
  BLST_BAD_SCALAR: 'BAD_SECRET',
}

/** Runs `work`, and says in our words why blst refused. @throws ThresholdError */
export function translated<Value>(work: (native: Blst) => Value): Value {
  const native = blst()
  try {
    return work(native)
  } catch (cause) {
    const { code, message } = cause as { code?: string; message: string }
    throw new ThresholdError(codes[code ?? ''] ?? 'BAD_ENCODING', message, { cause })
  }
}
