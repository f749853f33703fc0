import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import { parseAbi } from 'viem'
import { decodeFunctionData, encodeFunctionResult } from 'viem/utils'
import type { CallRequest, ProtocolModules } from '../src/chain-view.ts'
import { Harness } from './harness.ts'

const addressOf = (index: number): Address => `0x${index.toString(16).padStart(40, '0')}`
const abi = parseAbi([
  'struct Group { uint32 id; uint8 classId; uint32 version; bool open; address[] members; bytes32[] peerKeys; }',
  'struct Miner { address account; uint256 stake; }',
  'struct Challenge { address miner; bytes32 seed; uint32 entryCount; uint64 deadlineMs; uint64 epoch; uint8 state; }',
  'function groupOf(uint32 id) view returns (Group)',
  'function minerCount() view returns (uint256)',
  'function miners(uint256 offset, uint256 limit) view returns (Miner[])',
  'function challengeOf(address miner) view returns (Challenge)',
])
const modules: ProtocolModules = {
  storage: { address: addressOf(0xc07), abi },
  miners: { address: addressOf(0xc03), abi },
  audit: { address: addressOf(0xc08), abi },
}

/** 250 miners; each third was never challenged, the others in epoch 7 or 8. Group 5 alone exists. */
const MINERS = 250
function answer({ data }: CallRequest): `0x${string}` {
  const { functionName, args } = decodeFunctionData({ abi, data: bytesToHex(data!) })
  switch (functionName) {
    case 'groupOf': {
      const id = args[0]
      const members = id === 5 ? [addressOf(1), addressOf(2)] : []
      const peerKeys = members.map((_, index) => `0x${String(index).repeat(64)}` as const)
      const result = { id: id === 5 ? 5 : 0, classId: id === 5 ? 2 : 0, version: 9, open: true, members, peerKeys }
      return encodeFunctionResult({ abi, functionName, result })
    }
    case 'minerCount':
      return encodeFunctionResult({ abi, functionName, result: BigInt(MINERS) })
    case 'miners': {
      const [offset, limit] = args.map(Number) as [number, number]
      const count = Math.max(0, Math.min(limit, MINERS - offset))
      const result = Array.from({ length: count }, (_, i) => ({ account: addressOf(offset + i + 1), stake: 1n }))
      return encodeFunctionResult({ abi, functionName, result })
    }
    case 'challengeOf': {
      const index = Number(args[0])
      const state = index % 3 === 0 ? 0 : 1
      const result = {
        miner: state === 0 ? addressOf(0) : args[0],
        seed: `0x${'5e'.repeat(32)}` as const,
        entryCount: index,
        deadlineMs: 2n ** 60n,
        epoch: state === 0 ? 0n : 7n + BigInt(index % 2),
        state,
      }
      return encodeFunctionResult({ abi, functionName, result })
    }
  }
}

describe('RPC of a chain with protocol modules', () => {
  let rpc: Harness
  before(async () => {
    rpc = await Harness.start({ limits: { challengedMinersMax: 250 } })
    Object.assign(rpc.chain, { modules })
    rpc.chain.onCall = async (request) => ({ kind: 'returned', data: hexToBytes(answer(request)), gasUsed: 1n })
  })
  after(() => rpc.close())

  it('shows a group by its number, and null where there is none', async () => {
    assert.deepEqual(await rpc.result('cumulus_getGroup', ['0x5']), {
      id: 5,
      classId: 2,
      version: 9,
      open: true,
      members: [addressOf(1), addressOf(2)],
      peerKeys: [`0x${'0'.repeat(64)}`, `0x${'1'.repeat(64)}`],
    })
    assert.equal(await rpc.result('cumulus_getGroup', [6, 'latest']), null)
    assert.equal((await rpc.ask('cumulus_getGroup', ['0x100000000'])).error?.code, -32602)
    assert.equal((await rpc.ask('cumulus_getGroup', ['0x5', '0x99'])).error?.code, -32001)
  })

  it('shows the last challenge of a miner, wide numbers in hex', async () => {
    assert.deepEqual(await rpc.result('cumulus_getChallenges', [addressOf(4)]), [
      {
        miner: addressOf(4),
        seed: `0x${'5e'.repeat(32)}`,
        entryCount: 4,
        deadlineMs: '0x1000000000000000',
        epoch: '0x7',
        state: 1,
      },
    ])
    assert.deepEqual(await rpc.result('cumulus_getChallenges', [addressOf(3)]), [])
  })

  it('shows all challenges of an epoch, or whatever there are', async () => {
    const entries = async (...params: unknown[]) =>
      ((await rpc.result('cumulus_getChallenges', params)) as { entryCount: number }[]).map(
        ({ entryCount }) => entryCount,
      )
    const challenged = Array.from({ length: MINERS }, (_, i) => i + 1).filter((index) => index % 3 !== 0)
    assert.deepEqual(await entries(), challenged)
    const even = challenged.filter((index) => index % 2 === 0)
    assert.deepEqual(await entries('0x7'), even)
    assert.deepEqual(await entries('0x9'), [])
  })

  it('asks so many miners at a time, and says so', async () => {
    const other = await Harness.start({ limits: { challengedMinersMax: 249 } })
    Object.assign(other.chain, { modules })
    other.chain.onCall = rpc.chain.onCall
    const { error } = await other.ask('cumulus_getChallenges', ['0x7'])
    assert.deepEqual([error?.code, /there are 250 miners, at most 249/.test(error?.message ?? '')], [-32005, true])
    assert.equal(await other.hits('challenged_miners'), 1)
    await other.close()
  })

  it('is refused on a chain without them', async () => {
    const plain = await Harness.start()
    for (const method of ['cumulus_getGroup', 'cumulus_getChallenges']) {
      assert.match((await plain.ask(method, ['0x1'])).error!.message, /no protocol modules/)
    }
    await plain.close()
  })
})
