import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { minimal, type Params } from '@cumulus/params'
import { createLogger } from '@cumulus/service'
import { Engine, type EngineInit } from '../../src/engine.ts'
import type { ObjectContent, ObjectLayer } from '../../src/object-layer.ts'
import { MemoryChain } from './memory-chain.ts'
import { MemoryMiner } from './memory-miner.ts'

/** The code of `mainnet` on fragments of 64 KiB: segments of 256 KiB. */
export const small: Params = {
  ...minimal,
  classes: { ...minimal.classes, standard: { ...minimal.classes.standard, fragmentBytes: 64 * 2 ** 10 } },
}

export const OWNER = '0x00000000000000000000000000000000000000aa'
export const OTHER = '0x00000000000000000000000000000000000000bb'
export const dataKeyOf = (owner: string) => new Uint8Array(createHash('sha256').update(owner).digest())

/** Twelve miners, a chain, and gateways that come and go. */
export class TestNetwork {
  readonly params: Params
  readonly miners: MemoryMiner[]
  readonly chain: MemoryChain
  readonly log = createLogger({ name: 'test', level: (process.env['TEST_LOG'] ?? 'error') as 'error', json: false })
  readonly #folders: string[] = []
  readonly #engines = new Set<Engine>()

  constructor(params: Params = small) {
    this.params = params
    this.miners = Array.from({ length: 12 }, () => new MemoryMiner(params.chainId))
    this.chain = new MemoryChain(
      params,
      this.miners.map(({ identity }) => identity.publicKey),
    )
  }

  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'cumulus-gateway-'))
    this.#folders.push(folder)
    return folder
  }

  /** A gateway with both owners and all miners connected. */
  async gateway(init: Partial<EngineInit> & { account?: `0x${string}`; owners?: boolean } = {}): Promise<Engine> {
    const folder = init.folder ?? (await this.folder())
    const engine = await Engine.open(
      { params: this.params, host: '127.0.0.1', port: 0, workers: 0, ...init, folder },
      {
        chain: this.chain.as(init.account ?? '0x0000000000000000000000000000000000000099'),
        log: this.log,
        signal: new AbortController().signal,
        onDeath: (error) => {
          throw error
        },
      },
    )
    this.#engines.add(engine)
    await Promise.all(this.miners.map((miner) => miner.connect(engine.port)))
    if (init.owners ?? true) {
      await engine.addOwner({ owner: OWNER, territory: 1n, dataKey: dataKeyOf(OWNER) })
      await engine.addOwner({ owner: OTHER, territory: 2n, dataKey: dataKeyOf(OTHER) })
    }
    return engine
  }

  async stop(engine: Engine): Promise<void> {
    this.#engines.delete(engine)
    await engine.close()
    for (const miner of this.miners) miner.disconnect()
  }

  async close(): Promise<void> {
    for (const engine of this.#engines) await engine.close()
    for (const miner of this.miners) miner.disconnect()
    for (const folder of this.#folders) await rm(folder, { recursive: true, force: true })
  }
}

export function content(bytes: Uint8Array, chunkBytes = 20_000): ObjectContent {
  const hash = createHash('md5')
  return {
    size: bytes.length,
    body: (async function* () {
      for (let at = 0; at < bytes.length; at += chunkBytes) {
        const chunk = bytes.subarray(at, at + chunkBytes)
        hash.update(chunk)
        yield chunk
      }
    })(),
    digest: () => ({ etag: hash.digest('hex') }),
  }
}

export const signal = new AbortController().signal

export function put(objects: ObjectLayer, bucket: string, key: string, bytes: Uint8Array, owner = OWNER) {
  return objects.putObject({ bucket, key }, content(bytes), { metadata: { 'content-type': 'x/y' }, owner, signal })
}

export async function get(objects: ObjectLayer, bucket: string, key: string, start = 0, end?: number): Promise<Buffer> {
  const reader = await objects.getObject(bucket, key)
  try {
    const parts: Uint8Array[] = []
    for await (const part of reader.read({ start, end: end ?? reader.info.size }, signal)) parts.push(part)
    return Buffer.concat(parts)
  } finally {
    reader.close()
  }
}

/** Bytes that anybody can make again. */
export function bytesOf(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let state = (seed * 2654435761 + 12345) >>> 0
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

export async function until(what: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const deadline = Date.now() + ms
  while (!(await what())) {
    if (Date.now() > deadline) throw new Error(`not so within ${ms} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
