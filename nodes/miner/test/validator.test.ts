import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ByteWriter, bytesToHex, concatBytes, equalBytes, utf8Encode } from '@cumulus/bytes'
import { ChainClient } from '@cumulus/chain'
import { createGenesis } from '@cumulus/execution'
import { registrationMessage } from '@cumulus/ledger/modules'
import { FrameOp, formatAddress, listen, PeerIdentity, type Session } from '@cumulus/network'
import { minimal as params } from '@cumulus/params'
import { createLogger, createMetrics, type RunningRole } from '@cumulus/service'
import { secp256k1Address, secp256k1PublicKey } from '@cumulus/signature'
import { encodeDescriptor, fragmentIdOf, type SegmentDescriptor, segmentRoot } from '@cumulus/storage'
import { startValidator } from '@cumulus/validator'
import { startMiner } from '../src/index.ts'

const keyOf = (n: number): Uint8Array => new Uint8Array(32).fill(n)
const addressOf = (n: number) => bytesToHex(secp256k1Address(secp256k1PublicKey(keyOf(n))))
/** 1 to 3: miners; 4: owner and gateway. */
const ACCOUNTS = [1, 2, 3, 4]
const { light } = params.classes

/** Three miners on a real chain, from registration to the release of a stripe. */
describe('miners on a chain', () => {
  it('register, keep the fragments of a committed stripe, and free them when it is released', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cumulus-miners-'))
    const stop = new AbortController()
    const { signal } = stop
    const log = createLogger({ name: 'test', write: () => undefined })
    const context = () => ({ signal, log, metrics: createMetrics({ process: false }) })
    const running: RunningRole[] = []
    try {
      const allocations = ACCOUNTS.map((n) => ({ address: addressOf(n), balance: 10n ** 22n }))
      const genesis = createGenesis({ preset: 'minimal', allocations, timeMs: Date.now() })
      const validator = await startValidator(
        { dir: join(folder, 'chain'), genesis, rpc: { host: '127.0.0.1', port: 0 } },
        context(),
      )
      running.push(validator)
      const rpc = [`http://127.0.0.1:${validator.ports['rpc']}`]
      const miners = await Promise.all(
        [1, 2, 3].map((n) =>
          startMiner(
            {
              folder: join(folder, `miner-${n}`),
              params,
              rpc,
              privateKey: keyOf(n),
              spaceBytes: 2 ** 21,
              tuning: { keepFreeBytes: 0, fillBytesPerSecond: 0 },
            },
            context(),
          ),
        ),
      )
      running.push(...miners)

      // The gateway, which also owns the territory.
      const sessions = new Map<string, Session>()
      const identity = PeerIdentity.create()
      const linked = Promise.withResolvers<void>()
      const hello = utf8Encode(JSON.stringify({ role: 'gateway', chainId: params.chainId, version: 1 }))
      const listener = await listen(
        {
          host: '127.0.0.1',
          port: 0,
          identity,
          handlers: { [FrameOp.hello]: () => ({ meta: hello }) },
          onSession: (session) => {
            sessions.set(session.peerKey.toHex(), session)
            if (sessions.size === 3) linked.resolve()
          },
        },
        { signal },
      )
      const chain = await ChainClient.connect({ urls: rpc, privateKey: keyOf(4), params, log, signal })
      const proof = identity.sign(registrationMessage(params.chainId, chain.account))
      const where = formatAddress({ host: listener.host, port: listener.port, peerKey: identity.publicKey })
      const price = await chain.read('Territories', 'price', [2n ** 20n, 100])
      const [, minted] = await Promise.all([
        chain.send('Gateways', 'register', [bytesToHex(identity.publicKey), where, '', bytesToHex(proof)]),
        chain.send('Territories', 'mint', ['home', 2n ** 20n, 100, chain.account], { value: price }),
      ])
      const mint = minted.events.find(({ name }) => name === 'TerritoryMinted')!
      const territory = (mint.args as { id: bigint }).id
      const reserved = await chain.send('Storage', 'reserve', [territory, light.id, 2])
      const event = reserved.events.find(({ name }) => name === 'Reserved')!
      const { reservation, group } = event.args as { reservation: bigint; group: number }
      const { peerKeys } = await chain.read('Storage', 'groupOf', [group])
      await linked.promise

      const fragments = peerKeys.map((_, i) => new Uint8Array(4096).fill(i + 1))
      const descriptor: SegmentDescriptor = {
        classId: light.id,
        codec: light.codec,
        dataCount: light.dataCount,
        length: 8192,
        journalDigest: new Uint8Array(32),
        fragmentIds: fragments.map(fragmentIdOf),
      }
      const meta = encodeDescriptor(descriptor)
      const root = segmentRoot(descriptor)
      const receipts = await Promise.all(
        peerKeys.map((key, i) =>
          sessions.get(key.slice(2))!.request(FrameOp.put, {
            group,
            stripe: 0,
            seat: i,
            hash: descriptor.fragmentIds[i]!,
            meta,
            body: fragments[i]!,
          }),
        ),
      )
      // The chain checks each receipt against the peer key in its register.
      const signatures = bytesToHex(concatBytes(...receipts.map((receipt) => receipt.meta)))
      await chain.send('Storage', 'commit', [
        reservation,
        [{ stripe: 0, root: bytesToHex(root), seats: 7n, signatures }],
      ])

      const logId = new Uint8Array(32).fill(9)
      const context64 = new ByteWriter().u64(territory).u64(reservation).finish()
      const [first] = sessions.values()
      const appended = await first!.request(FrameOp.logAppend, { hash: logId, meta: context64, body: fragments[0]! })
      assert.equal(appended.offset, 4096)

      type Status = { pendingFragments: number; units: { used: number; declared: number }; state: string }
      const statuses = async () => (await Promise.all(miners.map((miner) => miner.status()))) as Status[]
      const until = async (condition: (status: Status) => boolean) => {
        while (!(await statuses()).every(condition)) await new Promise((resolve) => setTimeout(resolve, 20))
      }
      await until(
        ({ pendingFragments, units, state }) => pendingFragments === 0 && units.used === 1 && state === 'active',
      )
      const third = await sessions.get(peerKeys[2]!.slice(2))!.request(FrameOp.get, { group, stripe: 0, seat: 2 })
      assert.ok(equalBytes(third.body, fragments[2]!))

      await chain.send('Storage', 'release', [group, [0]])
      await until(({ units }) => units.used === 0)
      for (const miner of miners) assert.ok((await miner.health()).ok)
    } finally {
      stop.abort(new Error('the test is over'))
      await Promise.allSettled(running.map(({ stopped }) => stopped))
      await rm(folder, { recursive: true, force: true })
    }
  })
})
