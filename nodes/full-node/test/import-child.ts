import { LmdbLedgerStore } from '@cumulus/execution'
import { snapshotProgress } from '@cumulus/ledger'
import { PeerIdentity } from '@cumulus/network'
import { ChainPeers } from '../src/chain-peers.ts'
import { syncSnapshot } from '../src/snapshot-sync.ts'
import { fakeVerifier, quiet } from './test-chain.ts'

// Reads a snapshot into a folder, and says how many chunks are in: those of before, each one, and the block when it is whole.
const [dir, genesisHash, peerKey, port] = process.argv.slice(2)
const store = new LmdbLedgerStore(dir!)
const say = (line: string) => process.stdout.write(`${line}\n`)
const write = store.write.bind(store)
store.write = (writes) => {
  write(writes)
  const progress = snapshotProgress(store)
  if (progress) say(`${progress.count}`)
}
say(`${snapshotProgress(store)?.count ?? 0}`)
const ending = new AbortController()
const { signal } = ending
const genesis = Uint8Array.fromHex(genesisHash!)
const peers = new ChainPeers({ identity: PeerIdentity.create(), genesisHash: genesis, handlers: {}, log: quiet })
peers.add({
  peerKey: Uint8Array.fromHex(peerKey!),
  addresses: [{ host: '127.0.0.1', port: Number(port) }],
  origin: 'configured',
})
const running = peers.run({ signal })
const components = { store, genesisHash: genesis, peers, verifier: fakeVerifier, log: quiet }
const header = await syncSnapshot(components, { signal }, { idleMs: 20 })
ending.abort()
await running
await store.close()
say(`block ${header!.number}`)
