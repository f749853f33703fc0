import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  BlockExecutor,
  createGenesis,
  type GenesisFile,
  LedgerView,
  LmdbLedgerStore,
  openLedger,
  openMempool,
  paramsOf,
} from '@cumulus/execution'
import type { Ledger } from '@cumulus/ledger'
import { formatAddress, listen, PeerIdentity } from '@cumulus/network'
import { createMetrics, type Metrics, type RunningRole } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import { SingleOrderer } from '@cumulus/validator'
import { testAccount } from '../../execution/test/transactions.ts'
import { BlockService, type FullNodeConfig, startFullNode, takeTransactions } from '../src/index.ts'
import { quiet } from './test-chain.ts'

export const TOKEN = 10n ** 18n

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

/** A node that orders alone and serves its chain over frames; without RPC. */
export class OrderingNode {
  readonly dir: string
  readonly ledger: Ledger
  readonly service: BlockService
  readonly identity: PeerIdentity
  readonly port: number
  readonly stop: () => Promise<void>

  private constructor(init: Omit<OrderingNode, 'address'>) {
    this.dir = init.dir
    this.ledger = init.ledger
    this.service = init.service
    this.identity = init.identity
    this.port = init.port
    this.stop = init.stop
  }

  /** Multiaddress with the peer id. */
  get address(): string {
    return formatAddress({ host: '127.0.0.1', port: this.port, peerKey: this.identity.publicKey })
  }

  static async start(): Promise<OrderingNode> {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-ordering-'))
    const genesis = testGenesis()
    const params = paramsOf(genesis)
    const store = new LmdbLedgerStore(dir)
    const ledger = await openLedger(store, genesis, dir)
    const metrics = createMetrics({ process: false })
    const { chainId } = params
    const state = {
      nonce: (address: Address) => ledger.getNonce(address),
      balance: (address: Address) => ledger.getBalance(address),
      nextBaseFee: () => ledger.nextBaseFee,
    }
    const mempool = await openMempool({ chainId, state, metrics, log: quiet, dir })
    const room = { gas: params.blockGasLimit, bytes: 2 ** 20, count: 100 }
    const orderer = new SingleOrderer(
      { source: mempool, head: ledger.head, coinbase: `0x${'cc'.repeat(20)}` },
      { room, heartbeatMs: 60_000, spacingMs: 1 },
    )
    const transactions = (raws: readonly Uint8Array[]) => takeTransactions(mempool, raws)
    const service = new BlockService({ chain: ledger, store, transactions, isOrdering: true })
    const view = new LedgerView({ ledger, mempool, clientVersion: 'test', status: () => ({}) })
    view.onBlock(() => service.announce())
    const identity = PeerIdentity.create()
    const listener = await listen({ host: '127.0.0.1', port: 0, identity, handlers: service.handlers })
    const ending = new AbortController()
    const running = new BlockExecutor({ ledger, mempool, view, log: quiet, metrics }).run(orderer, ending)
    const stop = async () => {
      ending.abort()
      await running
      await listener.close()
      await mempool.close()
      await store.close()
      await rm(dir, { recursive: true })
    }
    return new OrderingNode({ dir, ledger, service, identity, port: listener.port, stop })
  }
}

/** A full node in this process, on a folder of its own, that can be stopped and started again. */
export class TestNode {
  readonly dir: string
  metrics: Metrics = createMetrics({ process: false })
  #config: Partial<FullNodeConfig>
  #role: RunningRole | undefined
  #stop = new AbortController()

  private constructor(dir: string, config: Partial<FullNodeConfig>) {
    this.dir = dir
    this.#config = config
  }

  static async start(config: Partial<FullNodeConfig>): Promise<TestNode> {
    const node = new TestNode(await mkdtemp(join(tmpdir(), 'cumulus-node-')), config)
    await node.start()
    return node
  }

  get role(): RunningRole {
    return this.#role!
  }

  get url(): string {
    return `http://127.0.0.1:${this.role.ports['rpc']}`
  }

  async status(): Promise<Record<string, unknown>> {
    return (await this.role.status()) as Record<string, unknown>
  }

  async height(): Promise<bigint> {
    return BigInt((await this.status())['height'] as string)
  }

  async start(): Promise<void> {
    this.#stop = new AbortController()
    this.metrics = createMetrics({ process: false })
    this.#role = await startFullNode(
      {
        dir: this.dir,
        genesis: testGenesis(),
        rpc: { host: '127.0.0.1', port: 0 },
        listen: { host: '127.0.0.1', port: 0 },
        ...this.#config,
      },
      { signal: this.#stop.signal, log: quiet, metrics: this.metrics },
    )
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#role?.stopped
  }

  async remove(): Promise<void> {
    try {
      await this.stop()
    } finally {
      await rm(this.dir, { recursive: true })
    }
  }
}
