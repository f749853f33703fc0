import { mkdtemp, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TeeError } from './tee-error.ts'

/** Where quotes of this process come from. */
export interface QuoteSource {
  readonly kind: 'sgx' | 'tdx'
  /** @param data 64 bytes. @throws TeeError NO_HARDWARE */
  quote(data: Uint8Array): Promise<Uint8Array>
}

/**
 * SGX under Gramine, which shows attestation as files: report data is written to one and the quote read from another.
 * Source: Gramine documentation, "Attestation and Secret Provisioning".
 */
export function gramineQuotes(folder = '/dev/attestation'): QuoteSource {
  return {
    kind: 'sgx',
    quote: (data) =>
      reading(async () => {
        await writeFile(join(folder, 'user_report_data'), data)
        return new Uint8Array(await readFile(join(folder, 'quote')))
      }),
  }
}

/**
 * TDX on Linux 6.7 and later: an entry in configfs takes report data and gives a quote.
 * Source: Linux, Documentation/ABI/testing/configfs-tsm.
 */
export function tsmQuotes(folder = '/sys/kernel/config/tsm/report'): QuoteSource {
  return {
    kind: 'tdx',
    quote: (data) =>
      reading(async () => {
        const entry = await mkdtemp(join(folder, 'cumulus-'))
        try {
          await writeFile(join(entry, 'inblob'), data)
          return new Uint8Array(await readFile(join(entry, 'outblob')))
        } finally {
          // In configfs an entry goes with its attributes, and only by rmdir.
          await rmdir(entry).catch(() => undefined)
        }
      }),
  }
}

async function reading(read: () => Promise<Uint8Array>): Promise<Uint8Array> {
  try {
    return await read()
  } catch (cause) {
    throw new TeeError('NO_HARDWARE', 'this machine, or this way of running, makes no quotes', {}, { cause })
  }
}
