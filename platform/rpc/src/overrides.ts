import { hexToBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import type { AccountOverride, BlockOverrides } from './chain-view.ts'
import { address, type Decoder, hash, hex, invalid, isRecord, optional, quantity } from './decode.ts'
import type { RpcLimits } from './limits.ts'
import { overLimit, RpcError } from './rpc-error.ts'

/** Contract code as large as a contract may be (EIP-170) and some more, for instrumented builds. */
const CODE_BYTES_MAX = 128 * 2 ** 10

interface OverrideDecoders {
  readonly accounts: Decoder<ReadonlyMap<Address, AccountOverride> | undefined>
  readonly block: Decoder<BlockOverrides | undefined>
}

/** State and block overrides of calls, in geth's form. What we do not know is refused: to ignore it would answer another question. */
export function callOverrides({ overrideAccountsMax, overrideSlotsMax }: RpcLimits): OverrideDecoders {
  const accounts: Decoder<ReadonlyMap<Address, AccountOverride> | undefined> = (value, name) => {
    if (value === undefined || value === null) return undefined
    if (!isRecord(value)) throw invalid(name, 'an object of overrides by address', value)
    const entries = Object.entries(value)
    if (entries.length === 0) return undefined
    if (entries.length > overrideAccountsMax) {
      throw overLimit(
        'overrides',
        `${name} overrides ${entries.length} accounts, at most ${overrideAccountsMax} are taken`,
      )
    }
    let slots = 0
    const overrides = new Map<Address, AccountOverride>()
    for (const [of, fields] of entries) {
      const override = accountOverride(fields, `${name}.${of.slice(0, 42)}`)
      slots += (override.state?.size ?? 0) + (override.stateDiff?.size ?? 0)
      if (slots > overrideSlotsMax) {
        throw overLimit('overrides', `${name} overrides more than ${overrideSlotsMax} slots`)
      }
      overrides.set(address(of, `${name} key`), override)
    }
    return overrides
  }
  return { accounts, block: blockOverrides }
}

function accountOverride(value: unknown, name: string): AccountOverride {
  const field = fieldsOf(value, name, ['balance', 'nonce', 'code', 'state', 'stateDiff'])
  const override = {
    balance: field('balance', quantity),
    nonce: field('nonce', quantity),
    code: field('code', code),
    state: field('state', slots),
    stateDiff: field('stateDiff', slots),
  }
  if (override.state && override.stateDiff) {
    throw new RpcError('INVALID_PARAMS', `${name} has both state and stateDiff; give one of them`)
  }
  return override
}

const blockOverrides: Decoder<BlockOverrides | undefined> = (value, name) => {
  if (value === undefined || value === null) return undefined
  const known = ['number', 'time', 'timestamp', 'gasLimit', 'coinbase', 'feeRecipient', 'random', 'prevRandao']
  // `difficulty` says nothing since the opcode means PREVRANDAO: geth reads over it as well.
  const field = fieldsOf(value, name, [...known, 'baseFee', 'baseFeePerGas', 'difficulty'])
  return {
    number: field('number', quantity),
    timestamp: field('time', quantity) ?? field('timestamp', quantity),
    gasLimit: field('gasLimit', quantity),
    coinbase: field('feeRecipient', address) ?? field('coinbase', address),
    prevRandao: field('prevRandao', hash) ?? field('random', hash),
    baseFee: field('baseFeePerGas', quantity) ?? field('baseFee', quantity),
  }
}

const code: Decoder<Uint8Array> = (value, name) => {
  const text = hex(value, name)
  if ((text.length - 2) / 2 > CODE_BYTES_MAX)
    throw overLimit('overrides', `${name} has more than ${CODE_BYTES_MAX} bytes`)
  return hexToBytes(text)
}

const slots: Decoder<ReadonlyMap<bigint, bigint>> = (value, name) => {
  if (!isRecord(value)) throw invalid(name, 'an object of values by slot', value)
  return new Map(
    Object.entries(value).map(([slot, word]) => [quantity(slot, `${name} key`), quantity(word, `${name}.${slot}`)]),
  )
}

/** Reads named fields, and refuses others. */
function fieldsOf(value: unknown, name: string, known: readonly string[]) {
  if (!isRecord(value)) throw invalid(name, 'an object', value)
  const unknown = Object.keys(value).find((key) => !known.includes(key))
  if (unknown !== undefined) {
    throw new RpcError('INVALID_PARAMS', `${name} has a field "${unknown.slice(0, 40)}"; known are ${known.join(', ')}`)
  }
  return <Field>(key: string, decoder: Decoder<Field>): Field | undefined =>
    optional(decoder)(value[key], `${name}.${key}`)
}
