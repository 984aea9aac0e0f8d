// Answers to REST.

const bytes = (value) => new TextEncoder().encode(JSON.stringify(value));

export const json = (status, value) => ({ status, headers: [['content-type', 'application/json']], body: bytes(value) });

/** RFC 9457. */
export const problem = (status, title, detail) => ({
  status,
  headers: [['content-type', 'application/problem+json']],
  body: bytes({ type: 'about:blank', title, status, detail }),
});
