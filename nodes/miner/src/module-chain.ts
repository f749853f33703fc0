import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import type { ChainClient } from '@cumulus/chain'
import { attestationKind, workerState } from '@cumulus/ledger/modules'
import type { ChainWorker, ChallengeState } from './audit-chain.ts'
import type {
  ChainGateway,
  ChainMiner,
  ChainStripe,
  FollowInit,
  MinerChain,
  MinerState,
  Registration,
} from './miner-chain.ts'

const PAGE_COUNT = 100n
/** More gateways are not looked at: a register that long needs another way to choose. */
const GATEWAYS_MAX = 2000
const WORKERS_MAX = 2000

const minerStates: Record<number, MinerState> = { 1: 'active', 2: 'frozen', 3: 'exiting', 4: 'offline', 5: 'dead' }
const challengeStates: Record<number, ChallengeState> = {
  1: 'open',
  2: 'passed',
  3: 'failed',
  4: 'missed',
  5: 'answered',
  6: 'void',
}
const stripeStates: Record<number, ChainStripe['state']> = { 1: 'reserved', 2: 'committed', 3: 'released' }

/** The miner's view of the chain, by the protocol modules. */
export function moduleChain(client: ChainClient): MinerChain {
  return {
    account: client.account,
    balance: () => client.balanceOf(),
    blockNumber: () => client.blockNumber(),

    async miner(): Promise<ChainMiner | undefined> {
      const entry = await client.read('Miners', 'minerOf', [client.account])
      const state = minerStates[entry.state]
      if (!state) return undefined
      const { addresses, region, declaredUnits, idleUnits, lockedUnits, serviceUnits, stake, registeredAtBlock } = entry
      const units = { declaredUnits, idleUnits, lockedUnits, serviceUnits }
      const lack = entry.collateralLimit > stake ? entry.collateralLimit - stake : 0n
      const missingStake = lack + entry.debt
      return {
        peerKey: hexToBytes(entry.peerKey),
        addresses,
        region,
        state,
        ...units,
        stake,
        missingStake,
        registeredAtBlock,
      }
    },

    async register({ peerKey, addresses, beneficiary, units, region, peerSignature, stake }: Registration) {
      await client.send(
        'Miners',
        'register',
        [bytesToHex(peerKey), addresses, beneficiary, units, region, bytesToHex(peerSignature)],
        { value: stake },
      )
    },

    async declareUnits(units, stake) {
      await client.send('Miners', 'declareUnits', [units], { value: stake })
    },

    async topUp(amount) {
      await client.send('Miners', 'topUp', [], { value: amount })
    },

    async update(addresses, region) {
      await client.send('Miners', 'update', [addresses, region])
    },

    async gateways() {
      const gateways: ChainGateway[] = []
      for (let offset = 0n; gateways.length < GATEWAYS_MAX; offset += PAGE_COUNT) {
        const page = await client.read('Gateways', 'gateways', [offset, PAGE_COUNT])
        for (const { account, peerKey, addresses } of page) {
          gateways.push({ account, peerKey: hexToBytes(peerKey), addresses })
        }
        if (page.length < Number(PAGE_COUNT)) break
      }
      return gateways
    },

    async group(id) {
      const group = await client.read('Storage', 'groupOf', [id])
      if (group.id !== id || group.peerKeys.length === 0) return undefined
      return { classId: group.classId, peerKeys: group.peerKeys.map(hexToBytes), tagger: group.tagger }
    },

    async stripes(group, first, count) {
      const stripes = await client.read('Storage', 'stripesOf', [group, first, count])
      return stripes.map(({ state, root, reservation, gateway }) => ({
        state: stripeStates[state] ?? 'none',
        root: hexToBytes(root),
        reservation,
        gateway,
      }))
    },

    async reservation(id) {
      const { group, firstStripe, stripeCount } = await client.read('Storage', 'reservationOf', [id])
      return stripeCount === 0 ? undefined : { group, firstStripe, stripeCount }
    },

    mayUse: (territory, gateway) => client.read('Gateways', 'mayUse', [territory, gateway]),

    gatewayChanges: (init) =>
      client.events('Gateways', ['GatewayRegistered', 'GatewayUpdated', 'GatewayRemoved'], init),

    async *committed(init: FollowInit) {
      for await (const { args } of client.events('Storage', 'Committed', init)) {
        yield { group: args.group, stripe: args.stripe, root: hexToBytes(args.root) }
      }
    },

    async *released(init: FollowInit) {
      for await (const { args } of client.events('Storage', 'Released', init)) {
        yield { group: args.group, stripe: args.stripe }
      }
    },

    async workers() {
      const workers: ChainWorker[] = []
      for (let offset = 0n; workers.length < WORKERS_MAX; offset += PAGE_COUNT) {
        const page = await client.read('TeeWorkers', 'workers', [offset, PAGE_COUNT])
        for (const { account, peerKey, addresses, taggerKey, powersHash, attestation, state } of page) {
          const keys = { taggerKey: hexToBytes(taggerKey), powersHash: hexToBytes(powersHash) }
          const isSimulated = attestation === attestationKind.simulated
          const isServing = state === workerState.active || state === workerState.exiting
          workers.push({ account, peerKey: hexToBytes(peerKey), addresses, ...keys, isSimulated, isServing })
        }
        if (page.length < Number(PAGE_COUNT)) break
      }
      return workers
    },

    workerChanges: (init) =>
      client.events('TeeWorkers', ['WorkerRegistered', 'WorkerUpdated', 'WorkerStateChanged'], init),

    tagged: (group, seat, firstStripe) => client.read('Audit', 'taggedOf', [group, seat, firstStripe]),

    async confirmTags(group, firstStripe, stripes, tagger) {
      await client.send('Audit', 'confirmTags', [group, firstStripe, stripes, tagger])
    },

    async reportLoss(group, firstStripe, stripes) {
      await client.send('Audit', 'reportLoss', [group, firstStripe, stripes])
    },

    async challenge() {
      const challenge = await client.read('Audit', 'challengeOf', [client.account])
      const state = challengeStates[challenge.state]
      if (!state) return undefined
      const { worker, seed, issuedAtBlock, deadlineMs, epoch } = challenge
      return { worker, seed: hexToBytes(seed), issuedAtBlock, deadlineMs: Number(deadlineMs), epoch, state }
    },

    async *challenged(init: FollowInit) {
      const own = { ...init, args: { miner: client.account } }
      for await (const { args } of client.events('Audit', 'Challenged', own)) {
        const { worker, epoch, seed, entries, deadlineMs } = args
        yield { worker, epoch, seed: hexToBytes(seed), entries: hexToBytes(entries), deadlineMs: Number(deadlineMs) }
      }
    },

    async submitProof({ seed, entries, dropped, proof }, signal) {
      const args = [bytesToHex(seed), bytesToHex(entries), dropped, bytesToHex(proof)] as const
      await client.send('Audit', 'submitProof', [...args], { signal })
    },

    async record() {
      const [failedInRow, missedInRow, passed, failed, missed, last] = await client.read('Audit', 'recordOf', [
        client.account,
      ])
      return { failedInRow, missedInRow, passed, failed, missed, lastPassedEpoch: passed > 0 ? last : undefined }
    },

    async rewards() {
      const [claimable, locked, paid] = await client.read('Audit', 'rewardsOf', [client.account])
      return { claimable, locked, paid }
    },
  }
}
