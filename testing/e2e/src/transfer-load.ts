import { setTimeout as sleep } from 'node:timers/promises'
import { createPublicClient, type Hash, type Hex, http, keccak256, type PublicClient } from 'viem'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAddress } from 'viem/accounts'
import type { ValidatorProcess } from './validator-network.ts'

const OPEN_PER_SENDER_MAX = 8

/**
 * Transfers without end, as wallets send them: signed by viem, handed to any validator that answers, handed to the next one if it does
 * not. A transaction counts as acknowledged once a validator has returned its hash.
 */
export class TransferLoad {
  readonly acknowledged = new Map<Hash, Hex>()
  /** Answers that were errors, other than that it does not answer. */
  readonly refusals: string[] = []
  readonly receiver: `0x${string}`
  #stopping = false
  readonly #running: Promise<unknown>[]
  readonly #validators: readonly ValidatorProcess[]

  constructor(
    validators: readonly ValidatorProcess[],
    accounts: readonly PrivateKeyAccount[],
    { chainId, perSecond }: { chainId: number; perSecond: number },
  ) {
    this.#validators = validators
    this.receiver = privateKeyToAddress(generatePrivateKey())
    const everyMs = (1000 * accounts.length) / perSecond
    this.#running = accounts.map((account, index) => this.#send(account, index, chainId, everyMs))
  }

  /** Ends, and gives what happened. */
  async stop(): Promise<{ readonly count: number }> {
    this.#stopping = true
    await Promise.all(this.#running)
    return { count: this.acknowledged.size }
  }

  async #send(account: PrivateKeyAccount, index: number, chainId: number, everyMs: number): Promise<void> {
    let home = index
    const client = (): PublicClient =>
      createPublicClient({
        transport: http(this.#validators[home % this.#validators.length]!.url, { retryCount: 0, timeout: 3_000 }),
      })
    for (let nonce = await this.#firstNonce(client, account.address); !this.#stopping; nonce++) {
      const raw = await account.signTransaction({
        chainId,
        type: 'eip1559',
        nonce,
        to: this.receiver,
        value: 1n,
        gas: 21_000n,
        maxFeePerGas: 100n * 10n ** 9n,
        maxPriorityFeePerGas: 10n ** 9n,
      })
      while (!(await this.#handIn(client(), raw))) {
        home++
        if (this.#stopping && home > 1_000) return
        await sleep(100)
      }
      await this.#awaitRoom(client, account.address, nonce)
      await sleep(everyMs)
    }
  }

  /** Whether a validator took it. */
  async #handIn(client: PublicClient, raw: Hex): Promise<boolean> {
    try {
      const hash = await client.sendRawTransaction({ serializedTransaction: raw })
      this.acknowledged.set(hash, raw)
      return true
    } catch (error) {
      const { details = '', name } = error as { details?: string; name: string }
      // The first attempt got through, only its answer did not.
      if (/already known|nonce too low/i.test(details)) {
        this.acknowledged.set(keccak256(raw), raw)
        return true
      }
      if (!/HttpRequestError|TimeoutError/.test(`${name} ${(error as Error).message}`)) this.refusals.push(details)
      return false
    }
  }

  /** Asked again until somebody answers: a machine may be slow to begin with. */
  async #firstNonce(client: () => PublicClient, address: Hex): Promise<number> {
    while (!this.#stopping) {
      const nonce = await client()
        .getTransactionCount({ address, blockTag: 'pending' })
        .catch(() => undefined)
      if (nonce !== undefined) return nonce
      await sleep(100)
    }
    return 0
  }

  /** A wallet does not run far ahead of the chain. */
  async #awaitRoom(client: () => PublicClient, address: Hex, nonce: number): Promise<void> {
    while (!this.#stopping) {
      const included = await client()
        .getTransactionCount({ address })
        .catch(() => undefined)
      if (included === undefined || nonce - included < OPEN_PER_SENDER_MAX) return
      await sleep(50)
    }
  }
}
