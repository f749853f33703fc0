import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Hex, keccak256, parseTransaction, type TransactionSerialized } from 'viem'

interface PoolEntry {
  readonly raw: Hex
  readonly hash: Hex
  readonly nonce: number
  readonly maxFeePerGas: bigint
  readonly to: string
}

interface Log {
  readonly address: string
  readonly topics: readonly Hex[]
  readonly data: Hex
  readonly blockNumber: number
  readonly logIndex: number
}

class Refusal extends Error {
  readonly number: number
  readonly data: unknown
  constructor(number: number, message: string, data?: unknown) {
    super(message)
    this.number = number
    this.data = data
  }
}

/** The chain behind one or several fake nodes: one account matters, blocks are made when the test says so. */
export class FakeChain {
  height = 0
  /** Nonce of the only account. */
  nonce = 0
  readonly receipts = new Map<Hex, object>()
  readonly executed: PoolEntry[] = []
  readonly logs: Log[] = []

  mine(entries: readonly PoolEntry[]): void {
    this.height++
    for (const entry of entries) {
      if (entry.nonce !== this.nonce) continue
      this.nonce++
      this.executed.push(entry)
      this.receipts.set(entry.hash, {
        transactionHash: entry.hash,
        blockNumber: hex(this.height),
        gasUsed: '0x5208',
        status: '0x1',
        logs: [],
      })
    }
  }
}

/** A node that obeys: it can die, lag, forget its pool, refuse, or answer nonsense. */
export class FakeNode {
  readonly chain: FakeChain
  readonly pool = new Map<number, PoolEntry>()
  readonly requests: string[] = []
  httpRequests = 0
  chainId = 27_103
  baseFee = 1_000n
  /** Blocks it lags behind. */
  lag = 0
  logsMax = 1_000
  /** Mines at once what it is given. */
  autoMine = true
  /** Answers instead of the node, while it returns something. */
  override: ((method: string, params: readonly unknown[]) => unknown) | undefined
  /** What HTTP sends instead of a real answer. */
  garbage: { status: number; body: string } | undefined
  /** Does the work, but the answer never arrives. */
  dropAnswers = 0
  #server: Server | undefined
  #port = 0

  constructor(chain: FakeChain) {
    this.chain = chain
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async start(): Promise<this> {
    this.#server = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk) => (body += chunk))
      request.on('end', () => {
        this.httpRequests++
        if (this.garbage) {
          response.writeHead(this.garbage.status).end(this.garbage.body)
          return
        }
        const parsed = JSON.parse(body)
        const answers = (Array.isArray(parsed) ? parsed : [parsed]).map((call) => this.#answer(call))
        if (this.dropAnswers > 0) {
          this.dropAnswers--
          response.destroy()
          return
        }
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify(Array.isArray(parsed) ? answers : answers[0]))
      })
    })
    await new Promise<void>((resolve) => this.#server!.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (this.#server.address() as AddressInfo).port
    return this
  }

  async stop(): Promise<void> {
    this.#server?.closeAllConnections()
    await new Promise((resolve) => this.#server?.close(resolve))
  }

  mine(): void {
    const ready = [...this.pool.values()]
      .sort((a, b) => a.nonce - b.nonce)
      .filter((entry) => entry.maxFeePerGas >= this.baseFee)
    this.chain.mine(ready)
    for (const nonce of [...this.pool.keys()]) if (nonce < this.chain.nonce) this.pool.delete(nonce)
  }

  #answer({ id, method, params }: { id: unknown; method: string; params: readonly unknown[] }): object {
    this.requests.push(method)
    try {
      return { jsonrpc: '2.0', id, result: this.override?.(method, params) ?? this.#result(method, params) }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return { jsonrpc: '2.0', id, error: { code: error.number, message: error.message, data: error.data } }
    }
  }

  #result(method: string, params: readonly unknown[]): unknown {
    const height = this.chain.height - this.lag
    switch (method) {
      case 'eth_chainId':
        return hex(this.chainId)
      case 'eth_blockNumber':
        return hex(height)
      case 'eth_gasPrice':
        return hex(this.baseFee + 10n)
      case 'eth_maxPriorityFeePerGas':
        return '0xa'
      case 'eth_estimateGas':
        return '0x5208'
      case 'eth_getBalance':
        return '0xde0b6b3a7640000'
      case 'eth_getTransactionCount':
        return hex(params[1] === 'pending' ? this.#pendingNonce() : this.chain.nonce)
      case 'eth_getTransactionReceipt':
        return this.chain.receipts.get(params[0] as Hex) ?? null
      case 'eth_sendRawTransaction':
        return this.#take(params[0] as Hex)
      case 'eth_getLogs': {
        const { fromBlock, toBlock } = params[0] as { fromBlock: Hex; toBlock: Hex }
        const to = Math.min(Number(toBlock), height)
        const found = this.chain.logs.filter(({ blockNumber }) => blockNumber >= Number(fromBlock) && blockNumber <= to)
        if (found.length > this.logsMax) throw new Refusal(-32005, 'too many')
        return found.map((log) => ({
          ...log,
          blockNumber: hex(log.blockNumber),
          logIndex: hex(log.logIndex),
          blockHash: word(log.blockNumber),
          transactionHash: word(log.logIndex),
        }))
      }
      default:
        throw new Refusal(-32601, `no method ${method}`)
    }
  }

  #take(raw: Hex): Hex {
    const { nonce = 0, maxFeePerGas = 0n, to } = parseTransaction(raw as TransactionSerialized)
    const hash = keccak256(raw)
    if (nonce < this.chain.nonce)
      throw new Refusal(-32000, `nonce too low: next nonce ${this.chain.nonce}, tx nonce ${nonce}`)
    const old = this.pool.get(nonce)
    if (old?.hash === hash) throw new Refusal(-32000, 'already known', { code: 'ALREADY_KNOWN' })
    if (old && maxFeePerGas < (old.maxFeePerGas * 11n) / 10n) {
      throw new Refusal(-32000, 'replacement transaction underpriced', { code: 'REPLACEMENT_UNDERPRICED' })
    }
    this.pool.set(nonce, { raw, hash, nonce, maxFeePerGas, to: String(to) })
    if (this.autoMine) this.mine()
    return hash
  }

  #pendingNonce(): number {
    let { nonce } = this.chain
    while (this.pool.has(nonce)) nonce++
    return nonce
  }
}

export function refuse(number: number, message: string, data?: unknown): never {
  throw new Refusal(number, message, data)
}

export function hex(value: bigint | number): Hex {
  return `0x${value.toString(16)}`
}

export function word(value: bigint | number): Hex {
  return `0x${value.toString(16).padStart(64, '0')}`
}
