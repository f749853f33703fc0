import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGenesis, type GenesisFile } from '@cumulus/execution'
import type { RpcLimits } from '@cumulus/rpc'
import { createLogger, createMetrics, type Metrics, type RunningRole } from '@cumulus/service'
import { testAccount } from '../../execution/test/transactions.ts'
import { startValidator, type ValidatorConfig } from '../src/validator.ts'

export const TOKEN = 10n ** 18n

/** Ten funded accounts on the smallest parameters. */
export function testGenesis(): GenesisFile {
  return createGenesis({
    preset: 'minimal',
    timeMs: 1_764_000_000_000,
    allocations: Array.from({ length: 10 }, (_, index) => ({
      address: testAccount(index).address,
      balance: 1_000_000n * TOKEN,
    })),
  })
}

/** A validator in this process that can be stopped and started again on the same folder and port. */
export class TestValidator {
  readonly dir: string
  metrics: Metrics = createMetrics({ process: false })
  #config: Partial<ValidatorConfig>
  #limits: Partial<RpcLimits>
  #port = 0
  #role: RunningRole | undefined
  #stop = new AbortController()

  private constructor(dir: string, config: Partial<ValidatorConfig>, limits: Partial<RpcLimits>) {
    this.dir = dir
    this.#config = config
    this.#limits = limits
  }

  static async start(config: Partial<ValidatorConfig> = {}, limits: Partial<RpcLimits> = {}): Promise<TestValidator> {
    const validator = new TestValidator(await mkdtemp(join(tmpdir(), 'cumulus-validator-')), config, limits)
    await validator.start()
    return validator
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get role(): RunningRole {
    return this.#role!
  }

  async start(): Promise<void> {
    this.#stop = new AbortController()
    this.metrics = createMetrics({ process: false })
    const rpc = { host: '127.0.0.1', port: this.#port, limits: this.#limits }
    this.#role = await startValidator(
      { dir: this.dir, genesis: testGenesis(), rpc, spacingMs: 10, ...this.#config },
      { signal: this.#stop.signal, log: createLogger({ name: 'validator', write: () => {} }), metrics: this.metrics },
    )
    this.#port = this.#role.ports['rpc']!
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#role?.stopped
  }

  async remove(): Promise<void> {
    await this.stop()
    await rm(this.dir, { recursive: true })
  }
}
