import { bytesToHex, equalBytes } from '@cumulus/bytes'
import {
  type BlsVerifier,
  type Certificate,
  CertificateError,
  type Committee,
  certificateFromJson,
  committeeOfMembers,
} from '@cumulus/certificate'
import { type PresetName, preset, presets } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import { type ProvenAccount, verifyAccountProof } from './account-proof.ts'
import { integer } from './answer.ts'
import { Endpoint } from './endpoint.ts'
import { type Header, headerFromJson, verifyHeader } from './header.ts'
import { nobleBls } from './noble-bls.ts'
import { SdkError } from './sdk-error.ts'

export interface LightClientInit {
  /** JSON-RPC of any node, or of several: none of them is trusted. */
  readonly url: string | readonly string[]
  /** The genesis file of the network, parsed: all that is trusted. */
  readonly genesis: unknown
  /** Default: JavaScript. In Node.js `@cumulus/threshold` is 20 times faster. */
  readonly bls?: BlsVerifier
  /** Of one request. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** A header that the committee vouches for, and its word. */
export interface CertifiedHeader {
  readonly header: Header
  /** Of this header or of a later one that follows from it. */
  readonly certificate: Certificate
}

/** Headers between a block and the certificate that vouches for it, at most. Members certify every block but in trouble. */
const LINKS_MAX = 256
const FOLLOW_MS = 500

/**
 * Believes nobody but the committee of genesis. Whatever node it asks, what it returns is what a quorum signed, or follows from it by
 * hashes; a lying node can only refuse to answer, or answer with an old truth.
 *
 * ```ts
 * const client = await LightClient.connect({ url: 'http://127.0.0.1:8545', genesis })
 * const { header } = await client.finalizedHeader()
 * const { balance } = await client.verifyProof('0x…')
 * ```
 */
export class LightClient {
  readonly committee: Committee
  readonly #endpoint: Endpoint
  readonly #bls: BlsVerifier
  #newest: CertifiedHeader | undefined

  private constructor(committee: Committee, endpoint: Endpoint, bls: BlsVerifier) {
    this.committee = committee
    this.#endpoint = endpoint
    this.#bls = bls
  }

  /** @throws SdkError BAD_GENESIS, UNREACHABLE, WRONG_CHAIN */
  static async connect(init: LightClientInit): Promise<LightClient> {
    const { url, genesis, bls = nobleBls, timeoutMs, signal } = init
    const committee = genesisCommittee(genesis)
    const endpoint = new Endpoint(typeof url === 'string' ? [url] : url, timeoutMs)
    const chainId = integer(await endpoint.ask('eth_chainId', [], signal), 'chain id')
    if (chainId !== BigInt(committee.chainId)) {
      throw new SdkError('WRONG_CHAIN', `chain ${chainId} there, ${committee.chainId} in the genesis`)
    }
    return new LightClient(committee, endpoint, bls)
  }

  /**
   * The newest header that can never be replaced, as far as the node says; never older than one returned before.
   *
   * @throws SdkError NOT_CERTIFIED before the first certificate, WRONG_HEADER, BAD_ANSWER, UNREACHABLE; CertificateError
   */
  async finalizedHeader({ signal }: { signal?: AbortSignal } = {}): Promise<CertifiedHeader> {
    const certificate = await this.#certificate('finalized', signal)
    if (this.#newest && certificate.height <= this.#newest.header.number) return this.#newest
    const header = await this.#headerOf(certificate.headerHash, signal)
    verifyHeader(header, certificate, this.committee, this.#bls)
    this.#newest = { header, certificate }
    return this.#newest
  }

  /**
   * The header of any block: certified itself, or an ancestor of one that is.
   *
   * @throws SdkError NOT_CERTIFIED, and as `finalizedHeader`
   */
  async header(number: bigint, { signal }: { signal?: AbortSignal } = {}): Promise<CertifiedHeader> {
    const certificate = await this.#certificate(`0x${number.toString(16)}`, signal)
    const links = certificate.height - number
    if (links < 0n || links > LINKS_MAX) {
      throw new SdkError('NOT_CERTIFIED', `the next certificate is ${links} blocks above block ${number}`)
    }
    let header = await this.#headerOf(certificate.headerHash, signal)
    verifyHeader(header, certificate, this.committee, this.#bls)
    while (header.number > number) {
      const parent = await this.#headerOf(header.parentHash, signal)
      if (!equalBytes(parent.hash, header.parentHash) || parent.number !== header.number - 1n) {
        throw new SdkError('WRONG_HEADER', `block ${parent.number} is not the parent of block ${header.number}`)
      }
      header = parent
    }
    return { header, certificate }
  }

  /** Newer and newer certified headers, until `signal` aborts. Heights may be left out; none comes twice. */
  async *follow({
    signal,
    everyMs = FOLLOW_MS,
  }: {
    signal: AbortSignal
    everyMs?: number
  }): AsyncGenerator<CertifiedHeader> {
    let height = -1n
    while (!signal.aborted) {
      let newest: CertifiedHeader | undefined
      try {
        newest = await this.finalizedHeader({ signal })
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof SdkError) || !['NOT_CERTIFIED', 'UNREACHABLE'].includes(error.code)) throw error
      }
      if (newest && newest.header.number > height) {
        height = newest.header.number
        yield newest
      }
      await pause(everyMs, signal)
    }
  }

  /**
   * Nonce, balance, code hash and storage of an account in a certified state: the newest, or that of `at`, which must have come from
   * this client.
   *
   * @throws SdkError BAD_PROOF, and as `finalizedHeader`; BAD_ANSWER if the node does not keep that state any more
   */
  async verifyProof(
    address: Address,
    slots: readonly bigint[] = [],
    { at, signal }: { at?: Header; signal?: AbortSignal } = {},
  ): Promise<ProvenAccount & { readonly header: Header }> {
    const header = at ?? (await this.finalizedHeader({ signal })).header
    const keys = slots.map((slot) => `0x${slot.toString(16).padStart(64, '0')}`)
    const block = { blockHash: bytesToHex(header.hash) }
    const answer = await this.#endpoint.ask('eth_getProof', [address, keys, block], signal)
    return { ...verifyAccountProof(header.stateRoot, address, slots, answer), header }
  }

  async #certificate(block: string, signal: AbortSignal | undefined): Promise<Certificate> {
    const answer = await this.#endpoint.ask('cumulus_getCertificate', [block], signal)
    if (answer === null) throw new SdkError('NOT_CERTIFIED', `nothing vouches for block ${block} yet`)
    try {
      return certificateFromJson(answer)
    } catch (cause) {
      throw new SdkError('BAD_ANSWER', `no certificate: ${(cause as Error).message}`, { cause })
    }
  }

  async #headerOf(hash: Uint8Array, signal: AbortSignal | undefined): Promise<Header> {
    const answer = await this.#endpoint.ask('eth_getBlockByHash', [bytesToHex(hash), false], signal)
    if (answer === null) throw new SdkError('BAD_ANSWER', `the node does not have block ${bytesToHex(hash)}`)
    return headerFromJson(answer)
  }
}

/** Who certifies the blocks of a chain, by its genesis file, parsed. @throws SdkError BAD_GENESIS */
export function genesisCommittee(genesis: unknown): Committee {
  const { preset: name, committee } = (genesis ?? {}) as { preset?: unknown; committee?: { members?: unknown } }
  if (typeof name !== 'string' || !Object.hasOwn(presets, name)) {
    throw new SdkError('BAD_GENESIS', 'the genesis names no rules')
  }
  if (committee?.members === undefined) {
    throw new SdkError('BAD_GENESIS', 'the genesis names no committee: there is nobody to certify blocks')
  }
  try {
    return committeeOfMembers(preset(name as PresetName).chainId, 0, committee.members)
  } catch (cause) {
    if (!(cause instanceof CertificateError)) throw cause
    throw new SdkError('BAD_GENESIS', `committee: ${cause.message}`, { cause })
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms)
    function end() {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
  })
}
