import { networkInterfaces } from 'node:os'
import { formatAddress } from '@cumulus/network'

/** More would not fit into an announcement, and nobody has so many. */
const ADDRESSES_MAX = 8

/**
 * Multiaddresses, separated by commas, under which a listener can be reached: its own, or, if it listens everywhere, those
 * of this machine's networks. Behind a NAT they are wrong, and have to be configured.
 */
export function announcedAddresses({ host, port }: { readonly host: string; readonly port: number }): string {
  if (host !== '0.0.0.0' && host !== '::') return formatAddress({ host, port })
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, family, scopeid }) => !internal && !scopeid && (host === '::' || family === 'IPv4'))
    .slice(0, ADDRESSES_MAX)
    .map(({ address }) => formatAddress({ host: address, port }))
    .join(',')
}
