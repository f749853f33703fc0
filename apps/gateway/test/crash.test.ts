import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { after, describe, it } from 'node:test'
import { recoverOwner } from '../src/recover.ts'
import { bytesOf, dataKeyOf, get, OWNER, signal, TestNetwork, until } from './support/network.ts'

type Message = Record<string, never> & { call?: number; method?: string; args?: unknown[] }

describe('a gateway that is killed while it writes', () => {
  const network = new TestNetwork()
  const chain = network.chain.as('0x0000000000000000000000000000000000000099') as unknown as Record<
    string,
    (...args: unknown[]) => Promise<unknown>
  >
  const stored = new Map<string, { seed: number; length: number }>()
  const deleted = new Set<string>()
  const children: ChildProcess[] = []
  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    await network.close()
  })

  async function runAndKill(folder: string, round: number, afterMs: number): Promise<void> {
    const child = fork(new URL('./support/crash-gateway.ts', import.meta.url), [folder], {
      execArgv: ['--conditions=@cumulus/source'],
      serialization: 'advanced',
    })
    children.push(child)
    let died: string | undefined
    const port = new Promise<number>((resolve) => {
      child.on('message', (message: Message) => {
        died ??= message['died']
        const { call, method, args, port: listening, stored: key, deleted: gone } = message as Record<string, never>
        if (method) {
          chain[method]!(...(args ?? [])).then(
            (value) => child.connected && child.send({ answer: call, value } as never),
            (error: Error) => child.connected && child.send({ answer: call, error: error.message } as never),
          )
        }
        if (listening) resolve(listening)
        if (key) stored.set(key, message as never)
        if (gone) deleted.add(gone)
      })
    })
    const listening = await port
    await Promise.all(network.miners.map((miner) => miner.connect(listening)))
    child.send({ go: round })
    const before = stored.size
    await new Promise((resolve) => setTimeout(resolve, afterMs))
    await until(() => stored.size - before >= 15 || child.exitCode !== null, 60_000)
    assert.equal(child.exitCode, null, `the gateway died by itself: ${died}`)
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
    for (const miner of network.miners) miner.disconnect()
  }

  async function hasAll(objects: Parameters<typeof get>[0]): Promise<void> {
    for (const [key, { seed, length }] of stored) {
      if (deleted.has(key)) continue
      // A deletion that was under way may have happened.
      const actual = await get(objects, 'b', key).catch((error: Error & { code?: string }) => error.code)
      if (actual === 'NoSuchKey' && /[^/]+$/.exec(key)![0] && Number(/\d+$/.exec(key)![0]) % 5 === 2) continue
      assert.deepEqual(actual, bytesOf(seed, length), key)
    }
    for (const key of deleted) await assert.rejects(get(objects, 'b', key), { code: 'NoSuchKey' }, key)
  }

  it('has everything that was acknowledged after each restart', async () => {
    const folder = await network.folder()
    for (let round = 0; round < 2; round++) {
      await runAndKill(folder, round, 400 + 300 * round)
      const engine = await network.gateway({ folder })
      await hasAll(engine.objects)
      await network.stop(engine)
    }
    assert.ok(stored.size >= 30)
  })

  it('and so has a gateway that recovers from the network, right after a kill', async () => {
    const lost = await network.folder()
    stored.clear()
    deleted.clear()
    const fresh = new TestNetwork()
    Object.assign(network.miners, fresh.miners)
    const chainOfFresh = fresh.chain.as('0x0000000000000000000000000000000000000099')
    for (const key of Object.keys(chain)) chain[key] = (chainOfFresh as never)[key]
    await runAndKill(lost, 0, 800)
    const folder = await fresh.folder()
    const account = '0x0000000000000000000000000000000000000077'
    const engine = await fresh.gateway({ folder, account, owners: false })
    const components = { chain: fresh.chain.as(account), log: fresh.log, folder, signal }
    const result = await recoverOwner(engine, components, {
      owner: OWNER,
      territory: 1n,
      dataKey: dataKeyOf(OWNER),
    })
    assert.deepEqual(result.lostSegments, [])
    await hasAll(engine.objects)
    await fresh.close()
  })
})
