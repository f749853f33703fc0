import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { certificateToJson, voteMessage } from '@cumulus/certificate'
import { ChainClient } from '@cumulus/chain'
import { createDevelopmentCommittee, createGenesis, writeGenesis } from '@cumulus/execution'
import { registrationMessage } from '@cumulus/ledger/modules'
import { createLogger, createMetrics, type RunningRole } from '@cumulus/service'
import { Ed25519Key } from '@cumulus/signature'
import { signReceipt } from '@cumulus/storage'
import { aggregateSignatures, BlsKey } from '@cumulus/threshold'
import { type Address, groupId, seat, stripeNumber } from '@cumulus/types'
import { startValidator } from '@cumulus/validator'
import { privateKeyToAccount } from 'viem/accounts'
import { params } from './fake-world.ts'

const TOKEN = 10n ** 18n
const STRIPES = 8
const { light } = params.classes
const log = createLogger({ name: 'chain', level: 'error', write: () => undefined })

/**
 * A chain with real state, whose headers are certified by four keys of ours: so nodes that show too few signatures, or anything else, can be
 * made. One group is open on it, of three miners.
 */
export class CertifiedStorage {
  /** Names the committee. */
  readonly genesisFile: string
  readonly group: number
  readonly #url: string
  readonly #keys: readonly BlsKey[]
  readonly #owner: ChainClient
  readonly #miners: ReadonlyMap<string, Ed25519Key>
  readonly #reservation: bigint
  readonly #members: readonly Address[]
  readonly #stop: AbortController
  readonly #role: RunningRole
  readonly #nodes: CertifyingNode[] = []

  private constructor(parts: {
    genesisFile: string
    url: string
    keys: readonly BlsKey[]
    owner: ChainClient
    miners: ReadonlyMap<string, Ed25519Key>
    reservation: bigint
    group: number
    members: readonly Address[]
    stop: AbortController
    role: RunningRole
  }) {
    this.genesisFile = parts.genesisFile
    this.group = parts.group
    this.#url = parts.url
    this.#keys = parts.keys
    this.#owner = parts.owner
    this.#miners = parts.miners
    this.#reservation = parts.reservation
    this.#members = parts.members
    this.#stop = parts.stop
    this.#role = parts.role
  }

  static async start(dir: string): Promise<CertifiedStorage> {
    const stop = new AbortController()
    const { signal } = stop
    const accountKeys = Array.from({ length: 1 + light.seatCount }, (_, i) => new Uint8Array(32).fill(i + 1))
    const connect = (privateKey: Uint8Array, url: string) =>
      ChainClient.connect({ urls: [url], privateKey, params, log, signal })
    const { committee, keys } = createDevelopmentCommittee(
      [1, 2, 3, 4].map((n) => ({ account: `0x${`${n}${n}`.repeat(20)}`, address: `/ip4/127.0.0.1/tcp/${n}` })),
    )
    const genesis = { preset: 'minimal', timeMs: Date.now() } as const
    const allocations = accountKeys.map((key) => {
      return { address: privateKeyToAccount(bytesToHex(key)).address, balance: 1_000_000n * TOKEN }
    })
    const genesisFile = join(dir, 'genesis.json')
    await writeGenesis(genesisFile, createGenesis({ ...genesis, allocations, committee }))
    const role = await startValidator(
      {
        dir: join(dir, 'chain'),
        genesis: createGenesis({ ...genesis, allocations }),
        rpc: { host: '127.0.0.1', port: 0 },
        spacingMs: 10,
      },
      { signal, log, metrics: createMetrics({ process: false }) },
    )
    const url = `http://127.0.0.1:${role.ports['rpc']}`
    const [owner, ...clients] = await Promise.all(accountKeys.map((key) => connect(key, url)))
    const miners = new Map<string, Ed25519Key>()
    for (const [i, chain] of clients.entries()) {
      const key = new Ed25519Key(new Uint8Array(32).fill(100 + i))
      miners.set(chain.account.toLowerCase(), key)
      const proof = bytesToHex(key.sign(registrationMessage(params.chainId, chain.account)))
      const value = 64n * params.stakePerUnit
      await chain.send('Miners', 'register', [bytesToHex(key.publicKey), '', chain.account, 64, '', proof], { value })
    }
    const capacity = 2n ** 24n
    const value = await owner!.read('Territories', 'price', [capacity, 1_000])
    const minted = await owner!.send('Territories', 'mint', ['home', capacity, 1_000, owner!.account], { value })
    const { id } = minted.events.find(({ name }) => name === 'TerritoryMinted')!.args as { id: bigint }
    const reserved = await owner!.send('Storage', 'reserve', [id, light.id, STRIPES])
    const { reservation, group } = reserved.events.find(({ name }) => name === 'Reserved')!.args as {
      reservation: bigint
      group: number
    }
    const { members } = await owner!.read('Storage', 'groupOf', [group])
    const blsKeys = keys.map(({ blsSeed }) => BlsKey.fromSeed(blsSeed))
    const known = { genesisFile, url, keys: blsKeys, owner: owner!, miners, reservation, group, members, stop, role }
    return new CertifiedStorage(known)
  }

  /** Commits a segment as gateways do, with the receipts of all seats. */
  async commit(stripe: number, root: Uint8Array): Promise<void> {
    const signatures = this.#members.map((member, position) => {
      const statement = {
        group: groupId(this.group),
        stripe: stripeNumber(stripe),
        seat: seat(position),
        segmentRoot: root,
      }
      return signReceipt(this.#miners.get(member.toLowerCase())!, params.chainId, statement).signature.toHex()
    })
    const seats = (1n << BigInt(light.seatCount)) - 1n
    const entry = { stripe, root: bytesToHex(root), seats, signatures: `0x${signatures.join('')}` as const }
    await this.#owner.send('Storage', 'commit', [this.#reservation, [entry]])
  }

  /** A node of this chain, honest until told otherwise. */
  async node(): Promise<CertifyingNode> {
    const node = await CertifyingNode.before(this.#url, this.#keys)
    this.#nodes.push(node)
    return node
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.close()))
    this.#stop.abort(new Error('the test is over'))
    await this.#role.stopped
  }
}

/** Passes questions on to a chain, and certifies its newest block. */
export class CertifyingNode {
  /** Members that sign, of four. */
  signers = [0, 1, 2]
  /** What becomes of an answer. */
  tamper: (method: string, result: unknown) => unknown = (_method, result) => result
  isAway = false
  readonly #chain: string
  readonly #keys: readonly BlsKey[]
  readonly #server: Server

  private constructor(chain: string, keys: readonly BlsKey[]) {
    this.#chain = chain
    this.#keys = keys
    this.#server = createServer(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      if (this.isAway) return void response.writeHead(502).end()
      const { id, method, params } = JSON.parse(body) as { id: number; method: string; params: unknown[] }
      const answer =
        method === 'cumulus_getCertificate' ? { result: await this.#certify() } : await this.#ask(method, params)
      response.end(JSON.stringify({ jsonrpc: '2.0', id, ...answer, result: this.tamper(method, answer.result) }))
    })
  }

  static async before(chain: string, keys: readonly BlsKey[]): Promise<CertifyingNode> {
    const node = new CertifyingNode(chain, keys)
    await new Promise<void>((resolve) => node.#server.listen(0, '127.0.0.1', resolve))
    return node
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #ask(method: string, params: readonly unknown[]): Promise<{ result?: unknown; error?: unknown }> {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    const headers = { 'content-type': 'application/json' }
    return (await fetch(this.#chain, { method: 'POST', headers, body })).json() as Promise<object>
  }

  async #certify(): Promise<unknown> {
    const { result } = await this.#ask('eth_getBlockByNumber', ['latest', false])
    const block = result as { number: `0x${string}`; hash: `0x${string}` }
    const [height, headerHash] = [BigInt(block.number), hexToBytes(block.hash)]
    const message = voteMessage({ chainId: params.chainId, era: 0, height, headerHash })
    const signature = aggregateSignatures(this.signers.map((member) => this.#keys[member]!.sign(message)))
    const signers = this.signers.reduce((bits, member) => bits | (1 << member), 0)
    return certificateToJson({ era: 0, height, headerHash, signers, signature })
  }
}
