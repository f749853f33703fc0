import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { moduleAbis } from '@cumulus/ledger'
import { createPublicClient, createWalletClient, type Hex, http } from 'viem'
import { type CertifiedHeader, LightClient } from '../src/index.ts'
import { CertifiedChain, Liar, rich, TOKEN } from './fixture.ts'

const receiver = `0x${'ab'.repeat(20)}` as const
const nobody = `0x${'cd'.repeat(20)}` as const

describe('a light client', () => {
  let chain: CertifiedChain
  let liar: Liar
  let client: LightClient
  /** A block with a transfer in it, certified. */
  let paid: CertifiedHeader

  before(async () => {
    chain = await CertifiedChain.start()
    liar = await Liar.before(chain.url)
    const transport = http(chain.url)
    const wallet = createWalletClient({ account: rich, transport })
    const reader = createPublicClient({ transport, pollingInterval: 20 })
    const hash = await wallet.sendTransaction({ to: receiver, value: 5n * TOKEN, chain: null })
    const { blockNumber } = await reader.waitForTransactionReceipt({ hash })
    client = await LightClient.connect({ url: liar.url, genesis: JSON.parse(JSON.stringify(plain(chain))) })
    const signal = AbortSignal.timeout(15_000)
    for await (const certified of client.follow({ signal, everyMs: 20 })) {
      if (certified.header.number < blockNumber) continue
      paid = certified
      break
    }
  })
  after(async () => {
    await liar?.close()
    await chain?.remove()
  })
  beforeEach(() => {
    liar.tamper = (_method, result) => result
    liar.raw = undefined
  })

  const fresh = () => LightClient.connect({ url: liar.url, genesis: plain(chain) })

  it('finds the certified head, whose hash it computes itself', async () => {
    assert(paid.header.number >= 1n)
    assert.equal(paid.certificate.height, paid.header.number)
    const shown = await createPublicClient({ transport: http(chain.url) }).getBlock({ blockNumber: paid.header.number })
    assert.equal(`0x${paid.header.hash.toHex()}`, shown.hash)
    assert.equal(paid.header.timestamp, BigInt(Math.floor(paid.header.timestampMs / 1000)))
  })

  it('proves balances, nonces, code and storage against it, and that there is nothing', async () => {
    const at = paid.header
    const received = await client.verifyProof(receiver, [0n], { at })
    assert.deepEqual([received.balance, received.nonce, received.storage.get(0n)], [5n * TOKEN, 0n, 0n])
    assert.equal((await client.verifyProof(rich.address, [], { at })).nonce, 1n)
    const absent = await client.verifyProof(nobody, [3n], { at })
    assert.deepEqual([absent.exists, absent.balance, absent.storage.get(3n)], [false, 0n, 0n])
    // The committee on chain: slot 0 counts its accounts, whose first one stands at keccak(0).
    const first = 0x290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563n
    const { storage } = await client.verifyProof(moduleAbis.R2S.address, [0n, first, 99n], { at })
    assert.deepEqual([...storage.values()], [1n, BigInt(`0x${'11'.repeat(20)}`), 0n])
  })

  it('goes from a certificate down to older blocks by their hashes', async () => {
    const { header, certificate } = await client.header(paid.header.number - 1n)
    assert.equal(header.number, paid.header.number - 1n)
    assert(certificate.height >= header.number)
  })

  it('does not believe a changed header, whichever field', async () => {
    const block = (await ask(chain.url, 'eth_getBlockByHash', [`0x${paid.header.hash.toHex()}`, false])) as object
    for (const [field, value] of Object.entries(block)) {
      if (['hash', 'size', 'transactions', 'uncles', 'withdrawals', 'totalDifficulty'].includes(field)) continue
      liar.tamper = (method, result) =>
        method === 'eth_getBlockByHash' ? { ...(result as object), [field]: changed(value as Hex) } : result
      await assert.rejects((await fresh()).finalizedHeader(), { code: 'WRONG_HEADER' }, field)
      liar.tamper = (method, result) =>
        method === 'eth_getBlockByHash' ? { ...(result as object), [field]: 'nonsense' } : result
      await assert.rejects((await fresh()).finalizedHeader(), { code: 'BAD_ANSWER' }, field)
    }
  })

  it('does not believe a changed certificate, whichever field', async () => {
    const codes = {
      era: 'WRONG_ERA',
      height: 'WRONG_HEADER',
      headerHash: 'BAD_ANSWER', // there is no such block
      signers: 'UNKNOWN_SIGNER',
      signature: 'BAD_SIGNATURE',
    }
    for (const [field, code] of Object.entries(codes)) {
      liar.tamper = (method, result) => {
        if (method !== 'cumulus_getCertificate') return result
        const certificate = result as Record<string, Hex>
        return { ...certificate, [field]: field === 'signers' ? '0x3' : changed(certificate[field]!) }
      }
      await assert.rejects((await fresh()).finalizedHeader(), { code }, field)
    }
    liar.tamper = (method, result) => (method === 'cumulus_getCertificate' ? { height: '0x1' } : result)
    await assert.rejects((await fresh()).finalizedHeader(), { code: 'BAD_ANSWER' })
    liar.tamper = (method, result) => (method === 'cumulus_getCertificate' ? null : result)
    await assert.rejects((await fresh()).finalizedHeader(), { code: 'NOT_CERTIFIED' })
  })

  it('does not believe a changed proof, and never what a proof merely claims', async () => {
    const at = paid.header
    const proofs: [string, (proof: Proof) => unknown][] = [
      ['BAD_PROOF', (proof) => ({ ...proof, accountProof: proof.accountProof.slice(1) })],
      ['BAD_PROOF', (proof) => ({ ...proof, accountProof: proof.accountProof.slice(0, -1) })],
      ['BAD_PROOF', (proof) => ({ ...proof, accountProof: [...proof.accountProof, proof.accountProof[0]] })],
      [
        'BAD_PROOF',
        (proof) => ({ ...proof, accountProof: proof.accountProof.with(-1, changed(proof.accountProof.at(-1)!)) }),
      ],
      ['BAD_PROOF', (proof) => ({ ...proof, accountProof: [] })],
      ['BAD_ANSWER', (proof) => ({ ...proof, accountProof: '0x' })],
      ['BAD_ANSWER', (proof) => ({ ...proof, accountProof: Array(66).fill('0x') })],
      ['BAD_ANSWER', (proof) => ({ ...proof, storageProof: [] })],
      ['BAD_PROOF', (proof) => ({ ...proof, storageProof: [{ ...proof.storageProof[0]!, proof: [] }] })],
    ]
    const { address } = moduleAbis.R2S
    for (const [code, change] of proofs) {
      liar.tamper = (method, result) => (method === 'eth_getProof' ? change(result as Proof) : result)
      await assert.rejects(client.verifyProof(address, [0n], { at }), { code })
    }
    liar.tamper = (method, result) =>
      method === 'eth_getProof' ? { ...(result as Proof), balance: '0xffff', nonce: '0x7' } : result
    const { balance, nonce } = await client.verifyProof(receiver, [], { at })
    assert.deepEqual([balance, nonce], [5n * TOKEN, 0n])
  })

  it('never goes back, whatever an endpoint behind the others says', async () => {
    const own = await fresh()
    const { header } = await own.finalizedHeader()
    const old = await ask(chain.url, 'cumulus_getCertificate', ['0x1'])
    liar.tamper = (method, result) => (method === 'cumulus_getCertificate' ? old : result)
    assert.equal((await own.finalizedHeader()).header.number, header.number)
  })

  it('goes on with the next endpoint when one fails, and says so when none answers', async () => {
    const own = await LightClient.connect({
      url: ['http://127.0.0.1:1', liar.url, chain.url],
      genesis: plain(chain),
    })
    liar.raw = { status: 502, body: 'bad gateway' }
    assert((await own.finalizedHeader()).header.number > 0n)
    await assert.rejects(LightClient.connect({ url: 'http://127.0.0.1:1', genesis: plain(chain) }), {
      code: 'UNREACHABLE',
    })
    for (const body of ['', '{', 'null', '{"jsonrpc":"2.0"}', '{"error":{"message":"no"}}', '['.repeat(5 * 2 ** 20)]) {
      liar.raw = { status: 200, body }
      await assert.rejects(fresh(), { code: 'BAD_ANSWER' }, body.slice(0, 30))
    }
  })

  it('needs a genesis with a committee, of the chain that it asks', async () => {
    const genesis = plain(chain)
    const connect = (change: object) => LightClient.connect({ url: chain.url, genesis: { ...genesis, ...change } })
    await assert.rejects(connect({ preset: 'dev' }), { code: 'WRONG_CHAIN' })
    for (const change of [
      { preset: 'toString' },
      { committee: undefined },
      { committee: { members: [] } },
      { committee: { members: [{ account: '0x' }] } },
    ]) {
      await assert.rejects(connect(change), { code: 'BAD_GENESIS' })
    }
    await assert.rejects(LightClient.connect({ url: chain.url, genesis: null }), { code: 'BAD_GENESIS' })
    // With another committee everything looks right, and nothing is believed.
    const other = await CertifiedChain.start()
    try {
      const misled = await LightClient.connect({ url: chain.url, genesis: plain(other) })
      await assert.rejects(misled.finalizedHeader(), { code: 'BAD_SIGNATURE' })
    } finally {
      await other.remove()
    }
  })
})

interface Proof {
  readonly accountProof: Hex[]
  readonly storageProof: { readonly proof: Hex[] }[]
}

/** The genesis as its file has it. */
function plain({ genesis }: CertifiedChain): { preset: string; committee: unknown } {
  return { preset: genesis.preset, committee: genesis.committee }
}

/** Another value of the same shape. */
function changed(value: Hex): Hex {
  return `${value.slice(0, -1)}${value.endsWith('1') ? '2' : '1'}` as Hex
}

async function ask(url: string, method: string, params: unknown[]): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  return ((await response.json()) as { result: unknown }).result
}
