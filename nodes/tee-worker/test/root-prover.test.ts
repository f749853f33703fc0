import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { createGenesis, writeGenesis } from '@cumulus/execution'
import { mainnet } from '@cumulus/params'
import { createLogger, createMetrics } from '@cumulus/service'
import { openRoots } from '../src/root-prover.ts'
import { CertifiedStorage, type CertifyingNode } from './support/certified-storage.ts'
import { inWorld, params, storeSegment, until, type World } from './support/fake-world.ts'

let dir: string
let chain: CertifiedStorage
let node: CertifyingNode
let second: CertifyingNode
let nextStripe = 0

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cumulus-roots-'))
  chain = await CertifiedStorage.start(dir)
  node = await chain.node()
  second = await chain.node()
})
after(async () => {
  await chain?.close()
  await rm(dir, { recursive: true, force: true })
})
beforeEach(() => {
  for (const one of [node, second]) {
    one.signers = [0, 1, 2]
    one.tamper = (_method, result) => result
    one.isAway = false
  }
})

/** A worker that proves roots against the certified chain, and is told of stripes by whatever `tell` says. */
async function inProvenWorld(
  urls: () => readonly string[],
  use: (
    world: World & { unproven(code: string): Promise<number>; tell(stripe: number, root: Uint8Array): void },
  ) => unknown,
): Promise<void> {
  await inWorld(async (world) => {
    const metrics = createMetrics({ process: false })
    const log = createLogger({ name: 'tee', write: (line) => void world.lines.push(line) })
    world.roots = await openRoots({ params, rpc: urls(), genesis: chain.genesisFile }, { log, metrics })
    world.chain.open(
      chain.group,
      world.miners.map(({ identity }) => identity.publicKey),
    )
    const unproven = async (code: string) => {
      const line = (await metrics.metrics()).split('\n').find((one) => one.includes(`unproven_total{code="${code}"}`))
      return line ? Number(line.split(' ')[1]) : 0
    }
    const tell = (stripe: number, root: Uint8Array) => world.chain.commit(chain.group, stripe, root)
    await world.start()
    await use(Object.assign(world, { unproven, tell }))
  })
}

const allHave = ({ miners }: World, stripe: number) => miners.every(({ tags }) => tags.has(stripe))
const nobodyHas = ({ miners }: World, stripe: number) => miners.every(({ tags }) => !tags.has(stripe))
const claims = ({ worker }: World) => (worker.status() as { tagged: number }).tagged

async function untilUnproven(world: { unproven(code: string): Promise<number> }, code: string, times = 2) {
  for (let i = 0; i < 500; i++) {
    if ((await world.unproven(code)) >= times) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`${code} was not counted`)
}

describe('a root', () => {
  it('that the committee has certified is tagged', async () => {
    await inProvenWorld(
      () => [node.url],
      async (world) => {
        const stripe = nextStripe++
        const { root } = storeSegment(world, stripe)
        await chain.commit(stripe, root)
        world.tell(stripe, root)
        await until('tags arrive', () => allHave(world, stripe))
        const { roots } = world.worker.status() as { roots: string }
        assert.equal(roots, 'proven by certificates of the committee')
      },
    )
  })

  it('that only a node says is neither tagged nor claimed: the name stays free for the certified one', async () => {
    await inProvenWorld(
      () => [node.url],
      async (world) => {
        const [stripe, empty] = [nextStripe++, nextStripe++]
        const honest = storeSegment(world, stripe)
        await chain.commit(stripe, honest.root)
        world.tell(stripe, storeSegment(world, stripe, 99).root)
        // Nothing at all was committed here.
        world.tell(empty, storeSegment(world, empty).root)
        await untilUnproven(world, 'OTHER_ROOT')
        await untilUnproven(world, 'NOT_COMMITTED')
        assert.ok(nobodyHas(world, stripe) && nobodyHas(world, empty))
        assert.equal(claims(world), 0)
        assert.ok(world.lines.some((line) => line.includes('not certified')))
        storeSegment(world, stripe)
        world.tell(stripe, honest.root)
        await until('the certified one is tagged', () => allHave(world, stripe))
        assert.equal(claims(world), 1)
      },
    )
  })

  it('of a header without a quorum, or of a proof that does not lead to it, is not believed', async () => {
    await inProvenWorld(
      () => [node.url],
      async (world) => {
        const stripe = nextStripe++
        const { root } = storeSegment(world, stripe)
        await chain.commit(stripe, root)
        node.signers = [0, 3]
        world.tell(stripe, root)
        await untilUnproven(world, 'BELOW_QUORUM')
        node.signers = [0, 1, 3]
        node.tamper = (method, result) => {
          if (method !== 'eth_getProof') return result
          return { ...(result as object), storageProof: [{ ...storageProofOf(result), proof: [] }] }
        }
        await untilUnproven(world, 'BAD_PROOF')
        node.tamper = (method, result) =>
          method === 'eth_getBlockByHash' ? { ...(result as object), stateRoot: `0x${'42'.repeat(32)}` } : result
        // A certificate of a header of another hash.
        await chain.commit(nextStripe++, new Uint8Array(32).fill(9))
        await untilUnproven(world, 'WRONG_HEADER')
        assert.ok(nobodyHas(world, stripe))
        assert.equal(claims(world), 0)
        node.tamper = (_method, result) => result
        await until('it is tagged when it is proven', () => allHave(world, stripe))
      },
    )
  })

  it('is proven by whichever node can, and waited for while none answers', async () => {
    await inProvenWorld(
      () => [node.url, second.url],
      async (world) => {
        const [stripe, later] = [nextStripe++, nextStripe++]
        node.signers = [0]
        const { root } = storeSegment(world, stripe)
        await chain.commit(stripe, root)
        world.tell(stripe, root)
        await until('the second one proves it', () => allHave(world, stripe))
        assert.equal(await world.unproven('BELOW_QUORUM'), 1)
        for (const one of [node, second]) one.isAway = true
        const other = storeSegment(world, later)
        await chain.commit(later, other.root)
        world.tell(later, other.root)
        await untilUnproven(world, 'UNREACHABLE', 4)
        assert.ok(nobodyHas(world, later))
        second.isAway = false
        await until('one is back', () => allHave(world, later))
      },
    )
  })
})

describe('what roots are believed by', () => {
  const context = () => {
    const lines: string[] = []
    const log = createLogger({ name: 'tee', write: (line) => void lines.push(line) })
    return { lines, log, metrics: createMetrics({ process: false }) }
  }

  it('is said where nothing is certified', async () => {
    const genesis = join(dir, 'alone.json')
    await writeGenesis(genesis, createGenesis({ preset: 'minimal', timeMs: Date.now(), allocations: [] }))
    const alone = context()
    const roots = await openRoots({ params, rpc: [node.url], genesis }, alone)
    assert.equal(roots.description, 'believed, one validator certifies nothing')
    assert.equal(alone.lines.filter((line) => line.includes(roots.description)).length, 1)
    const { description } = await openRoots({ params, rpc: [node.url] }, context())
    assert.equal(description, 'believed, no genesis says who certifies')
  })

  it('is a genesis of this network, which a production network cannot do without', async () => {
    const refused = (code: string, init: Parameters<typeof openRoots>[0]) =>
      assert.rejects(openRoots(init, context()), { name: 'TeeWorkerError', code })
    const rpc = [node.url]
    await refused('GENESIS_MISSING', { params: mainnet, rpc })
    await refused('GENESIS_MALFORMED', { params: mainnet, rpc, genesis: chain.genesisFile })
    await refused('GENESIS_MISSING', { params, rpc, genesis: join(dir, 'none.json') })
    for (const [i, text] of [
      '{',
      'null',
      '{"preset":"minimal","committee":{"members":[]}}',
      '{"preset":"minimal","committee":null}',
    ].entries()) {
      const genesis = join(dir, `bad-${i}.json`)
      await writeFile(genesis, text)
      await refused('GENESIS_MALFORMED', { params, rpc, genesis })
    }
  })
})

function storageProofOf(result: unknown): object {
  return (result as { storageProof: [object] }).storageProof[0]
}
