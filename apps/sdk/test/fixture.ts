import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDevelopmentCommittee, createGenesis, type GenesisFile, writeMemberKeys } from '@cumulus/execution'
import { createLogger, createMetrics, type RunningRole } from '@cumulus/service'
import { startValidator } from '@cumulus/validator'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'

export const TOKEN = 10n ** 18n
export const rich = privateKeyToAccount(generatePrivateKey())

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A chain whose committee has one member, in this process: real blocks, certificates and RPC. */
export class CertifiedChain {
  readonly genesis: GenesisFile
  readonly url: string
  readonly #role: RunningRole
  readonly #stop: AbortController
  readonly #dir: string

  private constructor(genesis: GenesisFile, role: RunningRole, stop: AbortController, dir: string) {
    this.genesis = genesis
    this.url = `http://127.0.0.1:${role.ports['rpc']}`
    this.#role = role
    this.#stop = stop
    this.#dir = dir
  }

  static async start(): Promise<CertifiedChain> {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-sdk-'))
    const port = await freePort()
    const { committee, keys } = createDevelopmentCommittee([
      { account: `0x${'11'.repeat(20)}`, address: `/ip4/127.0.0.1/tcp/${port}` },
    ])
    const genesis = createGenesis({
      preset: 'minimal',
      timeMs: Date.now(),
      allocations: [{ address: rich.address, balance: 1_000n * TOKEN }],
      committee,
    })
    await writeMemberKeys(dir, keys[0]!, { areNew: true })
    const stop = new AbortController()
    const role = await startValidator(
      {
        dir,
        genesis,
        rpc: { host: '127.0.0.1', port: 0 },
        peer: { host: '127.0.0.1', port },
        pace: { minRoundMs: 10, idleRoundMs: 50 },
      },
      {
        signal: stop.signal,
        log: createLogger({ name: 'validator', level: 'error' }),
        metrics: createMetrics({ process: false }),
      },
    )
    return new CertifiedChain(genesis, role, stop, dir)
  }

  async remove(): Promise<void> {
    this.#stop.abort()
    await this.#role.stopped
    await rm(this.#dir, { recursive: true })
  }
}

type Tamper = (method: string, result: unknown) => unknown

/** A node that lies: passes questions on to a chain, and changes the answers. */
export class Liar {
  /** What becomes of an answer. */
  tamper: Tamper = (_method, result) => result
  /** Answers with this instead of JSON-RPC. */
  raw: { status: number; body: string } | undefined
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  static async before(url: string): Promise<Liar> {
    const server = createServer(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      if (liar.raw) {
        response.writeHead(liar.raw.status).end(liar.raw.body)
        return
      }
      const { id, method } = JSON.parse(body)
      const answer = (await (
        await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
      ).json()) as { result?: unknown; error?: unknown }
      const result = answer.result === undefined ? undefined : liar.tamper(method, answer.result)
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result, error: answer.error }))
    })
    const liar = new Liar(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return liar
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
