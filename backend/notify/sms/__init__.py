"""Texts: one module a gateway, `PROVIDERS` lists them; `Sms` posts what a gateway's class says and reads the answer.

What is posted here is final: lengths are counted where it is written (`backend.notify.gsm`, `backend.notify.texts`).
"""
