import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { ChainClient } from '@cumulus/chain'
import { createGenesis } from '@cumulus/execution'
import { registrationMessage } from '@cumulus/ledger/modules'
import { minimal } from '@cumulus/params'
import { createLogger, createMetrics, type RoleContext, type RunningRole } from '@cumulus/service'
import { Ed25519Key } from '@cumulus/signature'
import { startTeeWorker } from '@cumulus/tee-worker'
import { startValidator } from '@cumulus/validator'
import { parseCall } from '../src/command.ts'
import { rotate } from '../src/commands/tee-worker.ts'
import { type HeldAccount, newAccount, writeKeyFile } from '../src/plan.ts'

const log = createLogger({ name: 'test', level: 'error', write: () => {} })
const ACTIVE = 2
const EXITING = 3

describe('rotating the key of a TEE worker', () => {
  let dir: string
  let url: string
  let worker: RunningRole
  let stopWorker: AbortController
  const account = newAccount()
  const others = Array.from({ length: 4 }, newAccount)
  const all = new AbortController()
  const roles: RunningRole[] = []
  const state = () => join(dir, 'worker')

  const context = (signal: AbortSignal): RoleContext => ({ signal, log, metrics: createMetrics({ process: false }) })

  async function begin(): Promise<void> {
    stopWorker = new AbortController()
    worker = await startTeeWorker(
      {
        folder: state(),
        params: minimal,
        rpc: [url],
        privateKey: hexToBytes(account.privateKey),
        data: { host: '127.0.0.1', port: 0 },
        attestation: 'simulated',
        tuning: { threads: 1 },
      },
      context(AbortSignal.any([all.signal, stopWorker.signal])),
    )
    roles.push(worker)
  }

  const clientOf = ({ privateKey }: HeldAccount) =>
    ChainClient.connect({ urls: [url], privateKey: hexToBytes(privateKey), params: minimal, log, signal: all.signal })

  const entryOf = async () => (await clientOf(account)).read('TeeWorkers', 'workerOf', [account.address])

  /** Runs the command, and gives what it says. */
  async function run(): Promise<{ step: string; next: string }> {
    const args = ['--key-file', join(dir, 'tee.key'), '--rpc', url, '--preset', 'minimal', '--state', state(), '--json']
    const { settings } = parseCall(rotate.settings, args, {})
    const lines: string[] = []
    const print = console.log
    console.log = (line: string) => void lines.push(line)
    try {
      assert.equal(await rotate.run({ settings, positionals: [], signal: all.signal }), 0)
    } finally {
      console.log = print
    }
    return JSON.parse(lines[0]!)
  }

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-rotate-'))
    await writeKeyFile(join(dir, 'tee.key'), account)
    const allocations = [account, ...others].map(({ address }) => ({ address, balance: 10n ** 24n }))
    const attestation = { simulated: true, measurements: [] }
    const genesis = createGenesis({ preset: 'minimal', allocations, timeMs: Date.now(), attestation })
    const rpc = { host: '127.0.0.1', port: 0 }
    const validator = await startValidator(
      { dir: join(dir, 'chain'), genesis, rpc, spacingMs: 10 },
      context(all.signal),
    )
    roles.push(validator)
    url = `http://127.0.0.1:${validator.ports['rpc']}`
    await begin()
  })

  after(async () => {
    all.abort(new Error('the test is over'))
    await Promise.allSettled(roles.map(({ stopped }) => stopped))
    await rm(dir, { recursive: true, force: true })
  })

  it('is done at once by one that tags no group: the next start makes another key', async () => {
    const before = await entryOf()
    assert.equal(before.state, ACTIVE)
    stopWorker.abort(new Error('stopped by its operator'))
    await worker.stopped
    assert.match((await run()).step, /old key is put aside/)
    assert.equal((await entryOf()).state, 0)
    const names = await readdir(state())
    const aside = names.find((name) => name.startsWith('retired-'))!
    assert.deepEqual(
      (await readdir(join(state(), aside))).filter((name) => /sealed|peer|powers/.test(name)).toSorted(),
      ['peer.key', 'powers', 'tagger.sealed'],
    )
    assert.ok(!names.includes('tagger.sealed') && !names.includes('powers') && !names.includes('peer.key'))
    await begin()
    const now = await entryOf()
    assert.equal(now.state, ACTIVE)
    assert.notEqual(now.taggerKey, before.taggerKey)
    assert.notEqual(now.peerKey, before.peerKey)
  })

  it('of one that tags groups begins with leaving, and waits for them', async () => {
    await openGroup()
    const before = await entryOf()
    assert.equal(before.groups, 1)
    const { step, next } = await run()
    assert.equal(step, 'it leaves')
    assert.match(next, /Keep it running for an era/)
    assert.equal((await entryOf()).state, EXITING)
    stopWorker.abort(new Error('stopped by its operator'))
    await worker.stopped
    const { step: then } = await run()
    assert.match(then, /it still serves 1 groups, until epoch \d+/)
    // Nothing was moved, nothing forgotten.
    const after = await entryOf()
    assert.equal(after.state, EXITING)
    assert.equal(after.taggerKey, before.taggerKey)
    assert.ok((await readdir(state())).includes('tagger.sealed'))
  })

  /** Three miners and a reservation: a group, which the only worker gets. */
  async function openGroup(): Promise<void> {
    const [owner, ...miners] = await Promise.all(others.map(clientOf))
    const register = async (chain: ChainClient) => {
      const identity = new Ed25519Key(new Uint8Array(randomBytes(32)))
      const proof = bytesToHex(identity.sign(registrationMessage(minimal.chainId, chain.account)))
      return [bytesToHex(identity.publicKey), proof] as const
    }
    for (const chain of miners) {
      const [key, proof] = await register(chain)
      const value = 64n * minimal.stakePerUnit
      await chain.send('Miners', 'register', [key, '', chain.account, 64, '', proof], { value })
    }
    const [key, proof] = await register(owner!)
    await owner!.send('Gateways', 'register', [key, '/ip4/127.0.0.1/tcp/9', '', proof])
    const bytes = 2n ** 24n
    const value = await owner!.read('Territories', 'price', [bytes, 1_000])
    const { events } = await owner!.send('Territories', 'mint', ['home', bytes, 1_000, owner!.account], { value })
    const { id } = events.find(({ name }) => name === 'TerritoryMinted')!.args as { id: bigint }
    await owner!.send('Storage', 'reserve', [id, minimal.classes.light.id, 1])
  }
})
