interface PlainAnswer {
  readonly result?: unknown
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown }
}

/** JSON-RPC by `fetch` and nothing else. */
export class PlainRpc {
  readonly url: string
  #id = 0

  constructor(url: string) {
    this.url = url
  }

  async answer(method: string, params: readonly unknown[] = []): Promise<PlainAnswer> {
    return (await this.post({ jsonrpc: '2.0', id: ++this.#id, method, params })) as PlainAnswer
  }

  /** @throws with the error's number and words */
  async ask<Result = string>(method: string, ...params: readonly unknown[]): Promise<Result> {
    const { result, error } = await this.answer(method, params)
    if (error) throw new Error(`${method}: ${error.code} ${error.message}`)
    return result as Result
  }

  async post(body: unknown): Promise<unknown> {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
    return await response.json()
  }

  /** Asks again until there is a receipt. */
  async receipt(hash: string): Promise<Record<string, string> & { logs: { topics: string[]; data: string }[] }> {
    for (;;) {
      const receipt = await this.ask<never>('eth_getTransactionReceipt', hash)
      if (receipt) return receipt
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
