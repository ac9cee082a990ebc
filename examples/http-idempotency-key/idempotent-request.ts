import {
  IdempotencyMismatchError,
  InProgressError,
  type MySQLIdempotencyAdapter,
  PersistenceError,
} from 'goscope-mysql'
import type { BankDatabase } from './bank.js'

/** What is sent back to a client, and stored for it. */
export interface Answer {
  readonly status: number
  readonly body: object
  readonly headers?: Readonly<Record<string, string>>
}

/** The part of a request that decides whether it is the same one again. */
export interface IdempotentRequest {
  /** The field as it came. */
  readonly idempotencyKey: string | undefined
  /** What the key belongs to, so that two endpoints, or two clients, may use the same one: `POST /payments`, say. */
  readonly scope: string
  readonly payload: string
}

const DAY = 24 * 3_600_000
const documentation = 'https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header'

/**
 * Answers a request once, by the IETF draft "The Idempotency-Key HTTP Header Field". The writes of `handle` and its
 * answer are committed together, so a repeated request gets the answer and has no second effect, whatever crashed.
 *
 * | The request                                        | is answered by                                  |
 * | -------------------------------------------------- | ----------------------------------------------- |
 * | has no key, or a malformed one                     | 400                                             |
 * | is the first with its key                          | what `handle` returns                           |
 * | comes while the first one is handled               | 409: come again                                 |
 * | comes later, with the same payload                 | the stored answer                               |
 * | comes later, with another payload                  | 422                                             |
 * | was handled, or not: the database broke off        | 503: come again with the same key, and find out |
 */
export async function answerOnce(
  idempotency: MySQLIdempotencyAdapter,
  { idempotencyKey, scope, payload }: IdempotentRequest,
  handle: (tx: BankDatabase) => Promise<Answer>,
): Promise<Answer> {
  const key = parseKey(idempotencyKey)
  if (key === undefined) return problem(400, 'Idempotency-Key is missing, or not a quoted string')
  let isFirst = false
  const handleFirst = (tx: BankDatabase) => {
    isFirst = true
    return handle(tx)
  }
  try {
    const answer = await idempotency.execute(`${scope} ${key}`, handleFirst, {
      transaction: true,
      fingerprint: payload,
      ttl: DAY,
      lease: 5_000,
      // The client waits and comes again; this process has others to serve.
      wait: 0,
    })
    return isFirst ? answer : { ...answer, headers: { ...answer.headers, 'idempotent-replayed': 'true' } }
  } catch (error) {
    if (error instanceof InProgressError) return problem(409, 'A request with this Idempotency-Key is being handled')
    if (error instanceof IdempotencyMismatchError) {
      return problem(422, 'Idempotency-Key was used for a request with another payload')
    }
    if (error instanceof PersistenceError && error.retryable) return problem(503, 'The database is away')
    throw error
  }
}

/** An error as RFC 9457 wants it. */
export function problem(status: number, title: string): Answer {
  return {
    status,
    body: { type: documentation, title, status },
    headers: {
      'content-type': 'application/problem+json',
      ...((status === 409 || status === 503) && { 'retry-after': '1' }),
    },
  }
}

/** The key in a field whose value is a String of RFC 9651: `"8e03978e"`, in quotes, in ASCII. */
function parseKey(field: string | undefined): string | undefined {
  const quoted = /^"((?:[ !#-[\]-~]|\\["\\]){1,255})"$/.exec(field ?? '')?.[1]
  return quoted?.replace(/\\(.)/g, '$1')
}
