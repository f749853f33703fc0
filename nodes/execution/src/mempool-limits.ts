import { TRANSACTION_BYTES_MAX, TRANSACTION_GAS_MAX } from '@cumulus/ledger'

export interface MempoolLimits {
  /** Transactions in all, and their bytes. */
  readonly countMax: number
  readonly bytesMax: number
  /** Transactions of one sender. */
  readonly perSenderMax: number
  /** How far a nonce may lie beyond the next one. */
  readonly nonceGapMax: number
  readonly transactionBytesMax: number
  readonly transactionGasMax: bigint
  /** Tip in wei per gas below which nothing is taken. */
  readonly minTip: bigint
  /** A replacement must raise both fees by this much. */
  readonly replacementPercent: bigint
  /** A transaction that cannot be executed for this long is dropped. */
  readonly lifetimeMs: number
}

export const defaultMempoolLimits: MempoolLimits = {
  countMax: 10_000,
  bytesMax: 64 * 2 ** 20,
  perSenderMax: 256,
  nonceGapMax: 256,
  transactionBytesMax: TRANSACTION_BYTES_MAX,
  transactionGasMax: TRANSACTION_GAS_MAX,
  // A millionth of the first base fee: spam still pays the base fee.
  minTip: 1_000n,
  replacementPercent: 10n,
  lifetimeMs: 3 * 3_600_000,
}
