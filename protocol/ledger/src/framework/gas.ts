import { OutOfGas } from './revert.ts'

/**
 * What the host charges, in the EVM's own prices, so that a module costs what the same Solidity contract would.
 * "Cold" and "written" mean within one module call: nothing is remembered from earlier calls of a transaction, and
 * nothing is refunded for clearing a slot. Both make a module dearer than the EVM would be, never cheaper.
 */
export const gasPrices = {
  /** Finding the module and the function. */
  dispatch: 700,
  /** Decoding or encoding 32 bytes (copying a word: yellow paper, appendix G). */
  word: 3,
  /** A slot of a mapping or array: Keccak-256 over two words (appendix G). */
  hash: 42,
  /** First and further reads of a slot (EIP-2929). */
  coldLoad: 2_100,
  warmLoad: 100,
  /** First write of a slot: from zero, from something else, without change (EIP-2200, EIP-2929); the cold price on top. */
  storeNew: 20_000,
  storeChange: 2_900,
  storeSame: 100,
  /** A log, each of its topics, each byte of its data (appendix G). */
  log: 375,
  logTopic: 375,
  logByte: 8,
  /** Moving tokens, and to an account that does not exist yet (appendix G). */
  transfer: 9_000,
  newAccount: 25_000,
  /** One secp256k1 recovery: the price of the EVM's ecrecover (appendix E). */
  recover: 3_000,
  /**
   * One Ed25519 verification. OpenSSL takes 1.7 times as long for it as libsecp256k1 for a recovery (117 and 66 µs in one
   * run), so that a block full of either takes a node equally long.
   */
  ed25519: 5_000,
} as const

/** Counts a call's gas down. Counts are plain numbers: limits above 2^53 are cut to it, and no call gets that far. */
export class GasMeter {
  readonly limit: number
  #left: number

  constructor(limit: bigint) {
    this.limit = Number(limit < MAX_LIMIT ? limit : MAX_LIMIT)
    this.#left = this.limit
  }

  get used(): number {
    return this.limit - this.#left
  }

  /** @throws OutOfGas, before whatever was to be paid for is done */
  charge(gas: number): void {
    if (gas > this.#left) {
      this.#left = 0
      throw new OutOfGas()
    }
    this.#left -= gas
  }
}

const MAX_LIMIT = BigInt(Number.MAX_SAFE_INTEGER)
