import { DecodeError, equalBytes } from '@cumulus/bytes'
import { decodeForeignBody, decodeForeignHeader, type HashedHeader } from '@cumulus/ledger'
import { type FrameMessage, FrameOp, RemoteError } from '@cumulus/network'
import type { ChainPeer, ChainPeers } from './chain-peers.ts'
import type { CertificateVerifier } from './finality.ts'
import { PeerFault } from './full-node-error.ts'
import { type BlockRecord, decodeRecords, encodeRangeLimits, HEADERS_PER_REPLY_MAX, type RangeLimits } from './wire.ts'

/** A block as a peer delivered it: header and body belong together. */
export interface FetchedBlock {
  readonly header: HashedHeader
  /** Raw transactions. */
  readonly transactions: readonly Uint8Array[]
}

/** Blocks that follow each other, vouched for as a whole. */
export interface FetchedRange {
  readonly blocks: readonly FetchedBlock[]
  /**
   * What vouches for the last block, or for a descendant: the one certificate whose signatures were checked.
   * Absent where the peer is trusted.
   */
  readonly certificate: { readonly height: bigint; readonly bytes: Uint8Array } | undefined
  readonly bytes: number
}

interface FetchInit extends RangeLimits {
  readonly first: bigint
  readonly verifier: CertificateVerifier | undefined
  readonly signal: AbortSignal
}

/**
 * Gets up to `count` blocks from `first` on, and checks all that can be checked without executing them: that they follow
 * each other, that each body is the one its header names, and that a certificate vouches for the last of them or for a
 * block behind it. What lies before `first` is the caller's to compare.
 *
 * @throws PeerFault, RemoteError, NetworkError
 */
export async function fetchRange(peers: ChainPeers, peer: ChainPeer, init: FetchInit): Promise<FetchedRange> {
  const { first, count, bytes, verifier, signal } = init
  const reply = await ask(peers, peer, FrameOp.getBlocks, first, { count, bytes }, signal)
  const records = blamed(() => decodeRecords(reply.meta, reply.body, count))
  if (records.length === 0) throw new PeerFault('MISSING', `no block ${first}, which it said it had`)
  if (records.length > 1 && reply.body.length > bytes) throw new PeerFault('OVERSIZED', `${reply.body.length} bytes`)
  const headers = chainOf(records, first, undefined)
  // All of a range is in memory at once: copies, so that the answer's buffer can go.
  const blocks = records.map((record, index): FetchedBlock => {
    const header = headers[index]!
    return { header, transactions: blamed(() => decodeForeignBody(header, record.body.slice()), 'BAD_BLOCK') }
  })
  if (!verifier) return { blocks, certificate: undefined, bytes: reply.body.length }

  const last = headers.at(-1)!
  const own = records.at(-1)!.certificate?.slice()
  const certificate = own
    ? await checkCertificate(verifier, own, last)
    : await fetchProof(peers, peer, last, verifier, signal)
  return { blocks, certificate, bytes: reply.body.length }
}

async function ask(
  peers: ChainPeers,
  peer: ChainPeer,
  op: typeof FrameOp.getBlocks | typeof FrameOp.getHeaders,
  first: bigint,
  limits: RangeLimits,
  signal: AbortSignal,
): Promise<FrameMessage> {
  const said = peer.status
  try {
    const question = { offset: Number(first), meta: encodeRangeLimits(limits) }
    return await peers.request(peer, (session, deadline) => session.request(op, question, { signal: deadline }), {
      signal,
    })
  } catch (error) {
    const claimed = said !== undefined && said.lowest <= first && first <= said.certified
    if (error instanceof RemoteError && error.code === 'NO_SUCH_BLOCK' && claimed) {
      throw new PeerFault('MISSING', `no block ${first}, which it said it had`, { cause: error })
    }
    throw error
  }
}

/** Headers behind `last` up to one with a certificate, which vouches for `last` too. */
async function fetchProof(
  peers: ChainPeers,
  peer: ChainPeer,
  last: HashedHeader,
  verifier: CertificateVerifier,
  signal: AbortSignal,
): Promise<{ height: bigint; bytes: Uint8Array }> {
  const first = last.number + 1n
  const limits = { count: HEADERS_PER_REPLY_MAX, bytes: 2 ** 20 }
  const reply = await ask(peers, peer, FrameOp.getHeaders, first, limits, signal)
  const records = blamed(() => decodeRecords(reply.meta, reply.body, limits.count))
  const certificate = records.at(-1)?.certificate?.slice()
  if (!certificate) throw new PeerFault('MISSING', `no certificate for block ${last.number} or those behind it`)
  return checkCertificate(verifier, certificate, chainOf(records, first, last).at(-1)!)
}

/**
 * What vouches for a block that we know: a certificate of it or of a descendant.
 *
 * @throws PeerFault, RemoteError, NetworkError
 */
export async function fetchCertificate(
  peers: ChainPeers,
  peer: ChainPeer,
  header: HashedHeader,
  verifier: CertificateVerifier,
  signal: AbortSignal,
): Promise<{ height: bigint; bytes: Uint8Array }> {
  const limits = { count: HEADERS_PER_REPLY_MAX, bytes: 2 ** 20 }
  const reply = await ask(peers, peer, FrameOp.getHeaders, header.number, limits, signal)
  const records = blamed(() => decodeRecords(reply.meta, reply.body, limits.count))
  const certificate = records.at(-1)?.certificate?.slice()
  if (!certificate) throw new PeerFault('MISSING', `no certificate for block ${header.number} or those behind it`)
  const chain = chainOf(records, header.number, undefined)
  if (!equalBytes(chain[0]!.hash, header.hash)) {
    throw new PeerFault('BAD_BLOCK', `another block ${header.number} than the one it told of`)
  }
  return checkCertificate(verifier, certificate, chain.at(-1)!)
}

/** Headers that follow each other, the first of them behind `parent` if that is known. */
function chainOf(records: readonly BlockRecord[], first: bigint, parent: HashedHeader | undefined): HashedHeader[] {
  return records.map((record, index) => {
    const header = blamed(() => decodeForeignHeader(record.header.slice()))
    if (header.number !== first + BigInt(index)) throw new PeerFault('BAD_BLOCK', `block ${header.number} out of line`)
    if (parent && !equalBytes(header.parentHash, parent.hash)) {
      throw new PeerFault('BAD_BLOCK', `block ${header.number} does not follow the one before it`)
    }
    parent = header
    return header
  })
}

async function checkCertificate(verifier: CertificateVerifier, bytes: Uint8Array, header: HashedHeader) {
  try {
    const { height, headerHash } = verifier.read(bytes)
    if (height !== header.number || !equalBytes(headerHash, header.hash)) {
      throw new PeerFault('BAD_CERTIFICATE', `the certificate of block ${header.number} is of another one`)
    }
    await verifier.verify(bytes)
  } catch (error) {
    if (error instanceof PeerFault) throw error
    throw new PeerFault('BAD_CERTIFICATE', `block ${header.number}: ${(error as Error).message}`, { cause: error })
  }
  return { height: header.number, bytes }
}

function blamed<Value>(decode: () => Value, code: 'MALFORMED' | 'BAD_BLOCK' = 'MALFORMED'): Value {
  try {
    return decode()
  } catch (error) {
    if (error instanceof DecodeError || error instanceof RangeError) {
      throw new PeerFault(code, error.message, { cause: error })
    }
    throw error
  }
}
