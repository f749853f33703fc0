import { multiaddr } from '@multiformats/multiaddr'
import { peerIdOf, publicKeyOf } from './identity.ts'
import { NetworkError } from './session.ts'

/** Where a peer can be dialled, and who must answer there if that is known. */
export interface PeerAddress {
  readonly host: string
  readonly port: number
  /** Ed25519 public key, 32 bytes. */
  readonly peerKey?: Uint8Array
}

const ADDRESSES_MAX = 16
const ADDRESS_LENGTH_MAX = 256
const HOST_PROTOCOLS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])

/**
 * `/ip4/127.0.0.1/tcp/4001` or `/dns4/gateway.example/tcp/4001/p2p/12D3KooW…`
 *
 * @throws NetworkError `BAD_ADDRESS` if it is none, or names a transport other than TCP
 */
export function parseAddress(text: string): PeerAddress {
  if (text.length > ADDRESS_LENGTH_MAX) throw badAddress(`an address of ${text.length} characters`)
  let components: { name: string; value?: string }[]
  try {
    components = multiaddr(text).getComponents()
  } catch (cause) {
    throw badAddress(`${text} is not a multiaddress`, { cause })
  }
  const [host, tcp, p2p, ...more] = components
  if (!host?.value || !HOST_PROTOCOLS.has(host.name) || tcp?.name !== 'tcp' || more.length > 0) {
    throw badAddress(`${text} is not of the form /ip4/…/tcp/… or /dns4/…/tcp/…, perhaps with /p2p/…`)
  }
  const address = { host: host.value, port: Number(tcp.value) }
  if (!p2p) return address
  if (p2p.name !== 'p2p') throw badAddress(`${text} goes on after TCP with ${p2p.name}`)
  return { ...address, peerKey: publicKeyOf(p2p.value!) }
}

/**
 * Addresses as the chain keeps them: separated by commas, at most 16, blanks allowed around each.
 *
 * @throws NetworkError `BAD_ADDRESS` if there is none, or one of them is bad
 */
export function parseAddresses(text: string): PeerAddress[] {
  const parts = text.split(',', ADDRESSES_MAX + 1)
  if (parts.length > ADDRESSES_MAX) throw badAddress(`more than ${ADDRESSES_MAX} addresses`)
  return parts.map((part) => parseAddress(part.trim()))
}

/** The multiaddress of a listener. A host that is neither an IPv4 nor an IPv6 address counts as a name. */
export function formatAddress({ host, port, peerKey }: PeerAddress): string {
  const protocol = host.includes(':') ? 'ip6' : /^[\d.]+$/.test(host) ? 'ip4' : 'dns'
  return `/${protocol}/${host}/tcp/${port}${peerKey ? `/p2p/${peerIdOf(peerKey)}` : ''}`
}

function badAddress(message: string, options?: ErrorOptions): NetworkError {
  return new NetworkError('BAD_ADDRESS', message, options)
}
