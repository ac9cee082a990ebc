import { setTimeout as sleep } from 'node:timers/promises'
import type { Payment } from './bank.js'

/** What became of one request. */
export interface Attempt {
  /** `undefined` when no answer came. */
  readonly status: number | undefined
  readonly isReplay: boolean
  /** The payment's number, if money was moved for this key. */
  readonly payment: number | undefined
}

const PAUSE = 50
const MAXIMUM_ATTEMPTS = 40

/** Sends one request. Who sends it again has to use the same key, and a new key for everything else. */
export async function send(url: string, key: string | undefined, payment: Payment): Promise<Attempt> {
  try {
    const response = await fetch(new URL('/payments', url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key !== undefined && { 'idempotency-key': `"${key}"` }) },
      body: JSON.stringify(payment),
    })
    const body = (await response.json()) as { payment?: number }
    return {
      status: response.status,
      isReplay: response.headers.get('idempotent-replayed') === 'true',
      payment: body.payment,
    }
  } catch {
    return { status: undefined, isReplay: false, payment: undefined }
  }
}

/** Sends a request until it has an answer that is final. Without the key that would be reckless. */
export async function sendUntilAnswered(url: string, key: string, payment: Payment): Promise<Attempt[]> {
  const attempts: Attempt[] = []
  while (attempts.length < MAXIMUM_ATTEMPTS) {
    const attempt = await send(url, key, payment)
    attempts.push(attempt)
    const { status } = attempt
    if (status !== undefined && status !== 409 && status < 500) break
    await sleep(PAUSE * (1 + Math.random()))
  }
  return attempts
}
