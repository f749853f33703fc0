import { bytesToHex } from '@cumulus/bytes'
import { certificateToJson, committeeToJson } from '@cumulus/certificate'
import { blockReference, type Decoder, optional, quantity } from '../decode.ts'
import { type MethodTable, method } from '../method.ts'
import { RpcError } from '../rpc-error.ts'
import type { MethodContext } from './context.ts'

const U32_MAX = 0xffff_ffffn

const eraNumber: Decoder<number> = (value, name) => {
  const era = quantity(value, name)
  if (era > U32_MAX) throw new RpcError('INVALID_PARAMS', `${name}: ${era} is no era`)
  return Number(era)
}

/** Who orders, and what they have signed. On a chain of one validator there is neither. */
export function consensusMethods(context: MethodContext): MethodTable {
  const { chain } = context
  return {
    /** The certificate that vouches for a block: its own, or the next one above it. Null as long as there is none. */
    ...method('cumulus_getCertificate', [blockReference], ([reference]) => {
      const number = context.numberOf(reference)
      const certificate = number === undefined ? undefined : chain.consensus?.certificateFor(number)
      return certificate ? certificateToJson(certificate) : null
    }),
    /** The committee of an era, or of the present one; null if that era is unknown, or one validator orders alone. */
    ...method('cumulus_getCommittee', [optional(eraNumber)], ([era]) => {
      const { consensus } = chain
      const info = consensus?.committee(era ?? consensus.era)
      if (!info) return null
      const { committee, coin } = info
      return {
        ...committeeToJson(committee),
        coin: coin.mode === 'dealt' ? { mode: coin.mode, publicKey: bytesToHex(coin.publicKey) } : { mode: coin.mode },
      }
    }),
    /** Rounds, latencies, who lags, evidence. Null where one validator orders alone. */
    ...method('cumulus_consensusStatus', [], () => chain.consensus?.status() ?? null),
  }
}
