import { createHmac } from 'node:crypto'

/** Who signed, for which day and place. */
export interface CredentialScope {
  readonly accessKey: string
  /** YYYYMMDD. */
  readonly date: string
  readonly region: string
  readonly service: string
}

/**
 * SigV4 signing keys: four HMACs from the secret, worth remembering because the key is the same for a whole day.
 * Holds at most `limit` keys; the oldest goes first.
 */
export class SigningKeys {
  readonly #limit: number
  readonly #keys = new Map<string, { secretKey: string; key: Buffer }>()

  constructor(limit = 1024) {
    this.#limit = limit
  }

  keyFor(secretKey: string, { accessKey, date, region, service }: CredentialScope): Buffer {
    const name = `${accessKey}/${date}/${region}/${service}`
    const known = this.#keys.get(name)
    // A user's secret may have been replaced since.
    if (known?.secretKey === secretKey) return known.key
    let key: Buffer = Buffer.from(`AWS4${secretKey}`, 'utf8')
    for (const step of [date, region, service, 'aws4_request']) key = createHmac('sha256', key).update(step).digest()
    this.#keys.delete(name)
    if (this.#keys.size >= this.#limit) this.#keys.delete(this.#keys.keys().next().value!)
    this.#keys.set(name, { secretKey, key })
    return key
  }
}
