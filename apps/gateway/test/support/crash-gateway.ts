import { inspect } from 'node:util'
import { createLogger } from '@cumulus/service'
import type { ChainStripe, GatewayChain } from '../../src/chain/gateway-chain.ts'
import { Engine } from '../../src/engine.ts'
import { bytesOf, dataKeyOf, OWNER, put, signal, small } from './network.ts'

/**
 * A gateway in a process of its own, to be killed. Asks its parent for everything of the chain, writes objects without
 * end once told to, and says what was acknowledged.
 */
const [folder] = process.argv.slice(2) as [string]
let nextCall = 1
const calls = new Map<number, PromiseWithResolvers<unknown>>()

process.on('message', (message: { answer?: number; value?: unknown; error?: string; go?: number }) => {
  if (message.answer !== undefined) {
    const call = calls.get(message.answer)!
    if (message.error) call.reject(new Error(message.error))
    else call.resolve(message.value)
  } else if (message.go !== undefined) write(message.go).catch(die)
})

/** Says why. */
function die(error: unknown): void {
  process.send!({ died: inspect(error) }, () => process.exit(1))
}

const ask = (method: string, ...args: unknown[]): Promise<never> => {
  const call = Promise.withResolvers<unknown>()
  calls.set(nextCall, call)
  process.send!({ call: nextCall++, method, args })
  return call.promise as Promise<never>
}
const account = '0x0000000000000000000000000000000000000099'
const chain: GatewayChain = {
  account,
  epoch: () => ask('epoch'),
  group: (id) => ask('group', id),
  reserve: (...args) => ask('reserve', ...args),
  commit: (...args) => ask('commit', ...args),
  release: (...args) => ask('release', ...args),
  reservationsOf: (territory) => ask('reservationsOf', territory),
  stripesOf: (...args): Promise<ChainStripe[]> => ask('stripesOf', ...args),
  territory: (id) => ask('territory', id),
}
const engine = await Engine.open(
  { folder, params: small, host: '127.0.0.1', port: 0, workers: 1, sealAfterMs: 300 },
  {
    chain,
    log: createLogger({ name: 'child', level: 'error' }),
    signal,
    onDeath: die,
  },
)
await engine.addOwner({ owner: OWNER, territory: 1n, dataKey: dataKeyOf(OWNER) })
process.send!({ port: engine.port })

async function write(round: number): Promise<void> {
  const { objects } = engine
  if (round === 0) {
    await objects.createBucket(OWNER, 'b', { region: 'r', signal })
    process.send!({ bucket: true })
  }
  const lane = async (name: string, sizeOf: (i: number) => number) => {
    for (let i = 0; ; i++) {
      const key = `${round}/${name}/${i}`
      const length = sizeOf(i)
      process.send!({ begun: key, length })
      await put(objects, 'b', key, bytesOf(i + round * 1000, length))
      process.send!({ stored: key, length, seed: i + round * 1000 })
      if (i % 5 === 4) {
        await objects.deleteObject('b', `${round}/${name}/${i - 2}`, { signal })
        process.send!({ deleted: `${round}/${name}/${i - 2}` })
      }
    }
  }
  await Promise.all([
    lane('small', (i) => 500 + i),
    lane('other', (i) => 20_000 + i),
    lane('large', (i) => 300_000 + 1000 * i),
  ])
}
