import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { MySQLIdempotencyAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { type Payment, pay } from './bank.js'
import { type Answer, answerOnce, problem } from './idempotent-request.js'

/** One instance of the service: `POST /payments` with a {@link Payment} moves money. */
export interface PaymentService {
  readonly url: string
  close(): Promise<void>
}

// Long enough for duplicates to come meanwhile.
const FRAUD_CHECK = 100

/** Starts an instance. All instances of a database know of each other's requests. */
export async function startPaymentService(databaseUrl: string): Promise<PaymentService> {
  const pool = createPool({ uri: databaseUrl })
  const idempotency = new MySQLIdempotencyAdapter(pool, { keyPrefix: 'example:' })
  const server = createServer(async (request, response) => {
    const { status, headers, body } = await answer(request, idempotency).catch((error: unknown) => {
      console.error(error)
      return problem(500, 'Something went wrong')
    })
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await idempotency.disconnect()
      await pool.end()
    },
  }
}

async function answer(request: IncomingMessage, idempotency: MySQLIdempotencyAdapter): Promise<Answer> {
  const scope = `${request.method} ${request.url}`
  if (scope !== 'POST /payments') return problem(404, 'There is nothing but POST /payments')
  const payload = await text(request)
  const payment = parsePayment(payload)
  if (payment === undefined) return problem(400, 'The payload is no payment')
  const idempotencyKey = request.headers['idempotency-key'] as string | undefined
  return answerOnce(idempotency, { idempotencyKey, scope, payload }, async (tx) => {
    await sleep(FRAUD_CHECK)
    const number = await pay(tx, payment)
    // An answer like any other: asked again, the service says the same, even if there is money by then.
    if (number === null) return problem(402, 'There is not enough money')
    return { status: 201, body: { payment: number, ...payment } }
  })
}

function parsePayment(payload: string): Payment | undefined {
  try {
    const { from, to, amount } = JSON.parse(payload) as Partial<Record<keyof Payment, unknown>>
    if (typeof from !== 'string' || typeof to !== 'string' || from === to) return undefined
    if (typeof amount !== 'number' || !Number.isSafeInteger(amount) || amount <= 0) return undefined
    return { from, to, amount }
  } catch {
    return undefined
  }
}
