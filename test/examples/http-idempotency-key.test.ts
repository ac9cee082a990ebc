import { drizzle } from 'drizzle-orm/mysql2'
import { MySQLIdempotencyAdapter } from 'goscope-mysql'
import { expect, it } from 'vitest'
import { openBank } from '../../examples/http-idempotency-key/bank.js'
import { startPaymentService } from '../../examples/http-idempotency-key/payment-service.js'
import { onEveryServer } from '../support/every-server.js'
import { runExample } from '../support/run-example.js'

onEveryServer('the example of the Idempotency-Key header', (context) => {
  it('moves money once for each key, whatever the network loses and however often clients ask', async () => {
    const { code, output } = await runExample('http-idempotency-key/demo.ts', context.url)
    expect(output).toMatch(/loses an answer.* 2 │ 1 × no answer, 1 × 201 replayed /)
    expect(output).toMatch(/loses a request.* 2 │ 1 × no answer, 1 × 201 /)
    expect(output).toMatch(/20 duplicates at once.*[│,] 1 × 201(,| +│)/)
    expect(output).toMatch(/duplicates at once.* 19 × 201 replayed/)
    expect(output).toMatch(/duplicates at once.* × 409/)
    expect(output).toMatch(/for another amount.* 1 × 422 /)
    expect(output).toMatch(/No key.* 1 × 400 /)
    expect(output).toMatch(/More money than there is.* 1 × 402, 1 × 402 replayed /)
    expect(output).toContain('No money moved twice.')
    expect(code).toBe(0)

    // Not by the demo's own word only.
    const [rows] = await context.admin.query(
      `select (select count(*) from example_payments) as payments,
        (select balance from example_accounts where name = 'Bob') as balance`,
    )
    expect(rows).toEqual([{ payments: 4, balance: 4 * 1999 }])
  }, 60_000)

  it('reads keys as structured strings, and answers what is wrong as problem details', async () => {
    const pool = context.pool()
    const idempotency = new MySQLIdempotencyAdapter(pool)
    await idempotency.connect()
    await openBank(drizzle({ client: pool }), { Ada: 100, Bob: 0 })
    const service = await startPaymentService(context.url)
    try {
      const ask = async (key: string | undefined, body: string) => {
        const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key }
        const response = await fetch(`${service.url}/payments`, { method: 'POST', headers, body })
        return { status: response.status, type: response.headers.get('content-type'), body: await response.json() }
      }
      const payment = (amount: number) => JSON.stringify({ from: 'Ada', to: 'Bob', amount })
      for (const malformed of [
        undefined,
        '',
        'unquoted',
        '""',
        '"a" "b"',
        '"a", "b"',
        '"open',
        '"a"b"',
        '"\\a"',
        '1',
      ]) {
        expect(await ask(malformed, payment(1))).toMatchObject({ status: 400, type: 'application/problem+json' })
      }
      expect(await ask('"a \\"quoted\\" \\\\ key"', payment(1))).toMatchObject({
        status: 201,
        type: 'application/json',
        body: { payment: 1, amount: 1 },
      })
      expect(await ask('"a \\"quoted\\" \\\\ key"', payment(2))).toMatchObject({
        status: 422,
        type: 'application/problem+json',
        body: { status: 422, title: expect.any(String), type: expect.stringMatching(/^https:/) },
      })
      for (const payload of ['', '[]', 'null', payment(0), payment(-1), payment(0.5), '{"from":"Ada","to":"Bob"}']) {
        expect(await ask(`"${payload.length}"`, payload)).toMatchObject({ status: 400 })
      }
    } finally {
      await service.close()
      await idempotency.disconnect()
    }
  })
})
