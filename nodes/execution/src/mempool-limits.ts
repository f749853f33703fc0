import { TRANSACTION_BYTES_MAX, TRANSACTION_GAS_MAX } from '@cumulus/ledger'

export interface MempoolLimits {
  /** Transactions in all, and their bytes. */
  readonly countMax: number
  readonly bytesMax: number
  /** Of those, the ones that miss an earlier nonce: they cost their sender nothing as long as they do. */
  readonly queuedMax: number
  /** Transactions of one sender. */
  readonly perSenderMax: number
  /** How far a nonce may lie beyond the next one. */
  readonly nonceGapMax: number
  readonly transactionBytesMax: number
  readonly transactionGasMax: bigint
  /** Tip in wei per gas below which nothing is taken: as the sender offers it, whatever the base fee leaves of it. */
  readonly minTip: bigint
  /** A replacement must raise both fees by this much. */
  readonly replacementPercent: bigint
  /** A transaction that cannot be executed for this long is dropped. */
  readonly lifetimeMs: number
}

export const defaultMempoolLimits: MempoolLimits = {
  countMax: 10_000,
  bytesMax: 64 * 2 ** 20,
  queuedMax: 2_048,
  perSenderMax: 256,
  nonceGapMax: 256,
  transactionBytesMax: TRANSACTION_BYTES_MAX,
  transactionGasMax: TRANSACTION_GAS_MAX,
  // A millionth of the first base fee. It keeps nobody out: what costs something is the base fee, and that only if the
  // transaction is executed. Whatever cannot be executed is therefore the first to go when the pool is full.
  minTip: 1_000n,
  replacementPercent: 10n,
  lifetimeMs: 3 * 3_600_000,
}
