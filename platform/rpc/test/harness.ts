import { createLogger, createMetrics, type Metrics } from '@cumulus/service'
import type { VerifierInit } from '../src/etherscan/verifier.ts'
import type { RpcLimits } from '../src/limits.ts'
import type { AccessRules } from '../src/origin.ts'
import { type RpcServer, startRpcServer } from '../src/server.ts'
import { FakeChain } from './fake-chain.ts'

export interface Answer {
  readonly jsonrpc: string
  readonly id: unknown
  readonly result?: unknown
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown }
}

interface HarnessInit {
  readonly limits?: Partial<RpcLimits>
  readonly access?: Partial<AccessRules>
  readonly verification?: VerifierInit
  /** Code of every account. */
  readonly code?: () => Uint8Array
}

/** A server over a fake chain on loopback. */
export class Harness {
  readonly chain: FakeChain
  readonly server: RpcServer
  readonly metrics: Metrics
  nowMs = { value: 0 }

  private constructor(chain: FakeChain, server: RpcServer, metrics: Metrics, nowMs: { value: number }) {
    this.chain = chain
    this.server = server
    this.metrics = metrics
    this.nowMs = nowMs
  }

  static async start(init: HarnessInit = {}): Promise<Harness> {
    const chain = new FakeChain()
    if (init.code) chain.code = init.code
    const metrics = createMetrics({ process: false })
    const nowMs = { value: 0 }
    const server = await startRpcServer(
      {
        chain,
        metrics,
        log: createLogger({ name: 'rpc', write: () => {} }),
        health: () => ({ ok: true, checks: [] }),
      },
      { host: '127.0.0.1', port: 0, nowMs: () => nowMs.value, ...init },
    )
    return new Harness(chain, server, metrics, nowMs)
  }

  get url(): string {
    return `http://127.0.0.1:${this.server.port}`
  }

  post(body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } })
  }

  async ask(method: string, params?: unknown): Promise<Answer> {
    const response = await this.post(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))
    return (await response.json()) as Answer
  }

  async result(method: string, params?: unknown): Promise<unknown> {
    const { result, error } = await this.ask(method, params)
    if (error) throw new Error(`${error.code} ${error.message}`)
    return result
  }

  /** How often a limit was hit. */
  async hits(limit: string): Promise<number> {
    const metric = await this.metrics.getSingleMetric('cumulus_rpc_limit_hits_total')!.get()
    return metric.values.find(({ labels }) => labels['limit'] === limit)?.value ?? 0
  }

  close(): Promise<void> {
    return this.server.close()
  }
}
