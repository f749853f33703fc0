import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGenesis } from '@cumulus/execution'
import { createLogger, createMetrics, type Metrics, type RunningRole } from '@cumulus/service'
import { startValidator, type ValidatorConfig } from '@cumulus/validator'
import { privateKeyToAccount } from 'viem/accounts'

/** Keys of funded accounts, the same in every run. */
export const keys = Array.from(
  { length: 20 },
  (_, index) => `0x${(index + 1).toString(16).padStart(64, '0')}` as `0x${string}`,
)

export const CHAIN_ID = 27_103

const COINS = 1_000_000n * 10n ** 18n

/** One validator on the smallest parameters, in this process, with its ports open to tools. */
export class LocalChain {
  readonly dir: string
  readonly metrics: Metrics
  readonly role: RunningRole
  readonly #stop: AbortController

  private constructor(dir: string, metrics: Metrics, role: RunningRole, stop: AbortController) {
    this.dir = dir
    this.metrics = metrics
    this.role = role
    this.#stop = stop
  }

  static async start(rpc: Partial<ValidatorConfig['rpc']> = {}): Promise<LocalChain> {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-tools-'))
    const metrics = createMetrics({ process: false })
    const stop = new AbortController()
    const allocations = keys.map((key) => ({ address: privateKeyToAccount(key).address, balance: COINS }))
    const genesis = createGenesis({ preset: 'minimal', timeMs: 1_764_000_000_000, allocations })
    const log = createLogger({ name: 'validator', write: () => {} })
    const role = await startValidator(
      {
        dir: join(dir, 'chain'),
        genesis,
        spacingMs: 10,
        rpc: { host: '127.0.0.1', port: 0, verifySources: true, ...rpc },
      },
      { signal: stop.signal, log, metrics },
    )
    return new LocalChain(dir, metrics, role, stop)
  }

  get url(): string {
    return `http://127.0.0.1:${this.role.ports['rpc']}`
  }

  get webSocketUrl(): string {
    return `ws://127.0.0.1:${this.role.ports['rpc']}`
  }

  async remove(): Promise<void> {
    this.#stop.abort()
    await this.role.stopped
    await rm(this.dir, { recursive: true })
  }
}
