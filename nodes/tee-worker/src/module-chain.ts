import { bytesToHex, hexToBytes, isZero } from '@cumulus/bytes'
import type { ChainClient, Finality } from '@cumulus/chain'
import { attestationKind } from '@cumulus/ledger/modules'
import type { ChainGroup, ChainStripe, ChainWorker, FollowInit, WorkerChain, WorkerState } from './worker-chain.ts'

const workerStates: Record<number, WorkerState> = {
  1: 'pending',
  2: 'active',
  3: 'exiting',
  4: 'expired',
  5: 'rejected',
}
const stripeStates: Record<number, ChainStripe['state']> = { 1: 'reserved', 2: 'committed', 3: 'released' }

/** The worker's view of the chain, by the protocol modules. */
export function moduleChain(client: ChainClient): WorkerChain {
  const certified = { finality: 'finalized' satisfies Finality } as const
  return {
    account: client.account,
    balance: () => client.balanceOf(),
    certifiedNumber: () => client.blockNumber('finalized'),

    async latestBlock() {
      const number = await client.blockNumber()
      const block = await client.block(number)
      if (!block) throw new Error(`block ${number} is gone`)
      return { number, hash: hexToBytes(block.hash) }
    },

    async epoch() {
      const { params } = client
      // One after the other: a promise that nobody waits for yet must not fail, or an outage ends the process.
      const number = await client.blockNumber()
      const [genesis, latest] = await Promise.all([client.block(0n), client.block(number)])
      if (!genesis || !latest) throw new Error('the chain has no blocks')
      const ms = (latest.timestampSeconds - genesis.timestampSeconds) * 1000n
      return ms / BigInt(params.slotMs * params.slotsPerEpoch)
    },

    async worker(): Promise<ChainWorker | undefined> {
      const entry = await client.read('TeeWorkers', 'workerOf', [client.account])
      const state = workerStates[entry.state]
      if (!state) return undefined
      const { addresses, expiresAtEpoch, groups } = entry
      const keys = { peerKey: hexToBytes(entry.peerKey), taggerKey: hexToBytes(entry.taggerKey) }
      return { ...keys, addresses, state, expiresAtEpoch, groups }
    },

    async pendingQuote() {
      const [quoteHash, attestation, sinceEpoch] = await client.read('TeeWorkers', 'pendingOf', [client.account])
      if (attestation === attestationKind.none) return undefined
      return { isWaiting: !isZero(hexToBytes(quoteHash)), sinceEpoch }
    },

    async register({ attestation, quote, collateral, ...entry }) {
      const deposit = client.params.audit.workerDeposit
      const registration = {
        peerKey: bytesToHex(entry.peerKey),
        addresses: entry.addresses,
        modes: entry.modes,
        candidate: entry.candidate,
        taggerKey: bytesToHex(entry.taggerKey),
        powersHash: bytesToHex(entry.powersHash),
        attestation: attestationKind[attestation],
        quote: bytesToHex(quote),
        collateral: bytesToHex(collateral),
        nonceBlock: entry.nonceBlock,
        peerSignature: bytesToHex(entry.peerSignature),
      }
      await client.send('TeeWorkers', 'register', [registration], { value: deposit })
    },

    async update(addresses) {
      await client.send('TeeWorkers', 'update', [addresses])
    },

    async renew({ attestation, quote, collateral, nonceBlock }) {
      const evidence = [attestationKind[attestation], bytesToHex(quote), bytesToHex(collateral), nonceBlock] as const
      await client.send('TeeWorkers', 'renew', [...evidence])
    },

    async exit() {
      await client.send('TeeWorkers', 'exit', [])
    },

    async isMiner(peerKey) {
      const { peerKey: known } = await client.read('Miners', 'minerByPeerKey', [bytesToHex(peerKey)])
      return !isZero(hexToBytes(known))
    },

    groupCount: () => client.read('Storage', 'groupCount', [], certified),

    async group(id): Promise<ChainGroup | undefined> {
      const group = await client.read('Storage', 'groupOf', [id], certified)
      if (group.id !== id || group.peerKeys.length === 0) return undefined
      const { classId, stripeCount, tagger } = group
      return { id, classId, stripeCount, tagger, peerKeys: group.peerKeys.map(hexToBytes) }
    },

    async stripes(group, first, count) {
      const stripes = await client.read('Storage', 'stripesOf', [group, first, count], certified)
      return stripes.map(({ state, root }) => ({ state: stripeStates[state] ?? 'none', root: hexToBytes(root) }))
    },

    tagged: (group, seat, first) => client.read('Audit', 'taggedOf', [group, seat, first], certified),

    async *committed({ fromBlock, signal }: FollowInit) {
      const init = { fromBlock, signal, ...certified }
      for await (const { args } of client.events('Storage', 'Committed', init)) {
        yield { group: args.group, stripe: args.stripe, root: hexToBytes(args.root) }
      }
    },

    async *groupChanges({ fromBlock, signal }: FollowInit) {
      const init = { fromBlock, signal, ...certified }
      for await (const { args } of client.events('Storage', ['GroupOpened', 'TaggerAssigned'], init)) yield args.group
    },
  }
}
