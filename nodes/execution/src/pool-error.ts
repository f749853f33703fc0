/** Why a transaction was not taken. Stable; the messages begin as geth's do, because wallets look for those words. */
export type PoolErrorCode =
  | 'MALFORMED'
  | 'TOO_LARGE'
  | 'WRONG_CHAIN'
  | 'BAD_SIGNATURE'
  | 'GAS_LIMIT_TOO_HIGH'
  | 'INTRINSIC_GAS'
  | 'TIP_ABOVE_MAX_FEE'
  | 'UNDERPRICED'
  | 'ALREADY_KNOWN'
  | 'NONCE_TOO_LOW'
  | 'NONCE_TOO_HIGH'
  | 'REPLACEMENT_UNDERPRICED'
  | 'INSUFFICIENT_FUNDS'
  | 'SENDER_FULL'
  | 'POOL_FULL'
  | 'BUSY'

export class PoolError extends Error {
  readonly code: PoolErrorCode
  constructor(code: PoolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'PoolError'
    this.code = code
  }
}

export const poolErrors = {
  malformed: (cause: Error) => new PoolError('MALFORMED', `malformed transaction: ${cause.message}`, { cause }),
  tooLarge: (size: number, max: number) =>
    new PoolError('TOO_LARGE', `oversized data: the transaction has ${size} bytes, at most ${max} are taken`),
  wrongChain: (chainId: bigint | undefined, expected: bigint) =>
    new PoolError(
      'WRONG_CHAIN',
      chainId === undefined
        ? `only replay-protected (EIP-155) transactions allowed over RPC: sign for chain ${expected}`
        : `invalid chain id for signer: have ${chainId} want ${expected}`,
    ),
  badSignature: () => new PoolError('BAD_SIGNATURE', 'invalid sender: the signature is nobody’s'),
  gasLimitTooHigh: (gas: bigint, max: bigint) =>
    new PoolError('GAS_LIMIT_TOO_HIGH', `exceeds transaction gas limit: gas ${gas}, at most ${max}`),
  intrinsicGas: (gas: bigint, least: bigint) =>
    new PoolError('INTRINSIC_GAS', `intrinsic gas too low: gas ${gas}, at least ${least}`),
  tipAboveMaxFee: () => new PoolError('TIP_ABOVE_MAX_FEE', 'max priority fee per gas higher than max fee per gas'),
  underpriced: (tip: bigint, least: bigint) =>
    new PoolError('UNDERPRICED', `transaction underpriced: tip ${tip}, at least ${least} wei per gas`),
  alreadyKnown: () => new PoolError('ALREADY_KNOWN', 'already known'),
  nonceTooLow: (nonce: bigint, next: bigint) =>
    new PoolError('NONCE_TOO_LOW', `nonce too low: next nonce ${next}, tx nonce ${nonce}`),
  nonceTooHigh: (nonce: bigint, next: bigint, gap: number) =>
    new PoolError('NONCE_TOO_HIGH', `nonce too high: next nonce ${next}, tx nonce ${nonce}, at most ${gap} ahead`),
  replacementUnderpriced: (maxFee: bigint, tip: bigint) =>
    new PoolError(
      'REPLACEMENT_UNDERPRICED',
      `replacement transaction underpriced: needs max fee ${maxFee} and tip ${tip}, unless the old one is being executed`,
    ),
  insufficientFunds: (cost: bigint, balance: bigint) =>
    new PoolError(
      'INSUFFICIENT_FUNDS',
      `insufficient funds for gas * price + value: balance ${balance}, waiting transactions may cost ${cost}`,
    ),
  senderFull: (max: number) =>
    new PoolError('SENDER_FULL', `txpool is full for this sender: ${max} transactions wait already`),
  poolFull: (max: number) =>
    new PoolError('POOL_FULL', `txpool is full: ${max} transactions wait; offer a higher tip or try again`),
  queueFull: (max: number) =>
    new PoolError(
      'POOL_FULL',
      `txpool is full: ${max} transactions miss an earlier nonce; send the earlier ones first`,
    ),
  busy: (waiting: number) =>
    new PoolError('BUSY', `txpool is busy: ${waiting} signatures wait to be checked; try again`),
} as const
